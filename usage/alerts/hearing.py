"""After an act was counted: when it went over a twentieth of a limit, or cost money, the look-out is woken soon."""

from __future__ import annotations

from config import nudge
from usage.metering.receipts import Receipt

LOOK = "usage.tasks.look_for_crossings"
# Many acts in that time are one look; the beat looks anyway.
SOON_SECONDS = 2.0
STEPS = 20


def note(receipt: Receipt) -> None:
    """Asks nothing of the database, and never waits."""
    if receipt.replayed:
        return
    limit = receipt.limit
    if receipt.cost or (
        limit and receipt.used * STEPS // limit != (receipt.used - receipt.units) * STEPS // limit
    ):
        nudge.workers(LOOK, after_seconds=SOON_SECONDS)
