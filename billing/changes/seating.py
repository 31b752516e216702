"""Telling Stripe how many members there are, on plans whose seats follow them. Only the outbox comes here."""

from __future__ import annotations

from accounts.models import Account
from billing.changes import membership
from billing.lifecycle import subscriptions
from billing.models import Effect, Subscription, SubscriptionItem
from billing.stripe import gateway


def carry(effect: Effect) -> None:
    """What the outbox calls."""
    assert effect.account is not None
    follow(account=effect.account)


def follow(*, account: Account) -> None:
    """Tell Stripe the number of members as it is now, under the account's lease: absolute, so that twice is once.

    More and fewer are counted by the second and come with the next invoice; nothing is charged in between
    (https://docs.stripe.com/billing/subscriptions/prorations). Raises Busy and the gateway's errors.
    """
    if not membership.is_behind(account):
        return
    with subscriptions.acting(account=account, purpose="seats_follow") as held:
        subscription = (
            Subscription.objects.live().filter(account=account, status__in=membership.FOLLOWING).first()
        )
        plan = membership.following_plan(subscription)
        item = _seat_item(subscription)
        if subscription is None or plan is None or item is None:
            return
        seats = membership.wanted(account, plan)
        if seats != item.quantity:
            gateway.post(
                f"/v1/subscriptions/{subscription.stripe_subscription_id}",
                {
                    "items": [{"id": item.stripe_item_id, "quantity": seats}],
                    "proration_behavior": "create_prorations",
                },
                # The lease's token is committed and never comes again: 3, 4 and 3 seats are three acts.
                idempotency_key=f"seats:{subscription.stripe_subscription_id}:{held.token}",
            )


def _seat_item(subscription: Subscription | None) -> SubscriptionItem | None:
    if subscription is None:
        return None
    return subscription.items.filter(lookup_key=subscription.price_lookup_key).first()
