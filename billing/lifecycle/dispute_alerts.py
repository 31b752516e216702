"""What staff have to do by hand at Stripe, where it refused what a lost dispute, or its end, asks for."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from billing import alerts
from billing.lifecycle.lease import Held
from billing.models import Alert


def not_ended(name: str, what: str, refused: str, *, account: Account, held: Held, now: datetime) -> None:
    """`what`: what Stripe was asked to do about `name`, while the account is on hold."""
    with held.saving():
        alerts.raise_alert(
            key=f"end_by_hand:{name}",
            kind="end_by_hand",
            message=f"{account} lost a dispute and is on hold, and Stripe would not {what}: {refused} End it at "
            "Stripe, or it is charged again.",
            account=account,
            now=now,
        )


def not_taken_back(
    subscription_id: str, refused: str, *, account: Account, held: Held, now: datetime
) -> None:
    """The hold is over, and the plan still ends."""
    with held.saving():
        alerts.raise_alert(
            key=f"go_on_by_hand:{subscription_id}",
            kind="go_on_by_hand",
            message=f"{account} is no longer on hold, but its subscription {subscription_id} still ends: Stripe would "
            f"not let it go on: {refused}",
            account=account,
            now=now,
        )


def not_finished(invoice_id: str, refused: str, *, account: Account, held: Held, now: datetime) -> None:
    """A draft that was stopped stays one."""
    with held.saving():
        alerts.raise_alert(
            key=f"finish_by_hand:{invoice_id}",
            kind="go_on_by_hand",
            message=f"{account} is no longer on hold, but Stripe would not finish its draft {invoice_id}: {refused} "
            "Finish it at Stripe, or it is never charged.",
            account=account,
            now=now,
        )


def hold_is_over(account: Account, *, now: datetime) -> None:
    """What was to be ended by hand is to go on now. In the transaction that ends the hold."""
    by_hand = Alert.objects.filter(account=account, kind="end_by_hand", resolved_at=None)
    by_hand.update(resolved_at=now)
