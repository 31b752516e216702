"""What is told about the card: that it was taken away while a plan goes on that will be charged."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from accounts.notifications import notify
from billing.messages.words import iso, plan_name
from billing.models import Customer, Subscription
from billing.models.subscriptions import Status


def tell(was: Customer, is_now: Customer, *, subscriptions: Iterable[Subscription], now: datetime) -> None:
    """The customer's row before and after a sync. A trial without a card is no news; its own messages say it.

    `card_brand` also names what is no card, such as a bank account: who pays by that is not asked for one.
    """
    if not was.card_brand or is_now.card_brand:
        return
    for subscription in subscriptions:
        if (
            subscription.status == Status.ACTIVE
            and subscription.is_live
            and subscription.collection_method == "charge_automatically"
            and not subscription.is_canceling
        ):
            notify(
                account=subscription.account,
                kind="card_missing",
                key=f"card_missing:{subscription.stripe_subscription_id}:{now.isoformat()}",
                now=now,
                context={
                    "plan": plan_name(subscription.plan_key),
                    "plan_key": subscription.plan_key,
                    "subscription": subscription.stripe_subscription_id,
                    "at": iso(subscription.current_period_end),
                },
            )
