"""What is planned for the period's end is taken back, until it happens."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from billing.changes import telling
from billing.lifecycle import schedules, subscriptions
from billing.models import PlanChange


def undo(*, account: Account, change: PlanChange, now: datetime) -> None:
    """Take back what was scheduled. Raises NothingToChange when it has happened, Busy, the gateway's errors."""
    with subscriptions.acting(account=account, purpose="undo_change") as held:
        change.refresh_from_db()
        if change.state != PlanChange.State.SCHEDULED:
            raise subscriptions.NothingToChange("There is no change to take back any more.")
        schedules.release(change.stripe_schedule_id)
        with held.saving():
            change.state, change.finished_at = PlanChange.State.UNDONE, now
            change.save(update_fields=["state", "finished_at"])
            telling.undone(change, now=now)
