"""Canceling, with a reason if somebody likes to give one: told to Stripe with the act and kept for staff to count."""

from __future__ import annotations

from accounts.models import Account, User
from billing import clock
from billing.lifecycle import subscriptions
from billing.lifecycle.subscriptions import Busy, NothingToChange
from billing.models import Departure, Subscription

__all__ = ["Busy", "NothingToChange", "cancel"]


def cancel(*, account: Account, by: User, feedback: str = "", comment: str = "") -> None:
    """Cancel at the end of the paid time. `feedback` is one of Departure.Feedback or empty.

    Raises ValueError for another word, NothingToChange, Busy and the gateway's errors.
    """
    feedback = Departure.Feedback(feedback).value if feedback else ""
    subscription = Subscription.objects.live().filter(account=account).first()
    subscriptions.cancel(account=account, feedback=feedback, comment=comment[:500])
    Departure.objects.create(
        account=account,
        stripe_subscription_id=subscription.stripe_subscription_id if subscription else "",
        plan_key=subscription.plan_key if subscription else "",
        feedback=feedback,
        comment=comment[:500],
        user=by,
        at=clock.now(account),
    )
