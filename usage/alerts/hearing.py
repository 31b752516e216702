"""After an act was counted: when it went over a twentieth of a limit, or cost money, the look-out is woken soon."""

from __future__ import annotations

from config import nudge

LOOK = "usage.tasks.look_for_crossings"
# Many acts in that time are one look; the beat looks anyway.
SOON_SECONDS = 2.0
STEPS = 20


def note(*, units: int, used: int, limit: int | None, cost: int) -> None:
    """Of an act, or of several that were counted at once, after which `used` of `limit` units are used.

    Asks nothing of the database, and never waits.
    """
    if cost or (limit and used * STEPS // limit != (used - units) * STEPS // limit):
        nudge.workers(LOOK, after_seconds=SOON_SECONDS)
