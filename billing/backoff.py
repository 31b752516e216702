"""When to try again: soon at first, then ever later, and never all at the same moment."""

from __future__ import annotations

import random
from datetime import timedelta

FIRST_SECONDS = 10.0
LONGEST_SECONDS = 6 * 3600.0


def delay(attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th failure (from 1): 10 s, doubled each time, at most 6 h.

    Between half and all of that, by chance, so that what failed together does not come back together.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(max(attempts, 1) - 1, 20))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))
