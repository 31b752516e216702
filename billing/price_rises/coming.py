"""A rise that was told and is still to come, and what the next payment is then: for all who name it."""

from __future__ import annotations

from datetime import datetime

from billing.models import PlanChange, PriceRiseStep, Subscription
from billing.models.subscriptions import Status


def rise_of(subscription: Subscription, *, now: datetime) -> PriceRiseStep | None:
    """The rise that was told to this subscription's account and has not come yet. `now` is the account's time."""
    told = PriceRiseStep.objects.filter(
        stripe_subscription_id=subscription.stripe_subscription_id,
        state__in=(PriceRiseStep.State.TOLD, PriceRiseStep.State.MOVING),
        applies_at__gt=now,
        rise__stopped_at__isnull=True,
    )
    return told.select_related("rise").order_by("applies_at").first()


def next_charge(subscription: Subscription, *, rise: PriceRiseStep | None) -> int | None:
    """What the next payment will be, in minor units; None where it is not known.

    Stripe's preview, which we keep, has the old price until shortly before the renewal that has the new one.
    """
    amount, end = subscription.next_charge_amount, subscription.current_period_end
    if rise is None or rise.applies_at is None or end is None or rise.applies_at > end:
        return amount
    if waits(subscription) or amount == rise.new_amount * subscription.quantity:
        return amount
    is_the_price_alone = amount == rise.old_amount * subscription.quantity
    return rise.new_amount * subscription.quantity if is_the_price_alone else None


def waits(subscription: Subscription) -> bool:
    """Whether the rise will not come with this renewal: on a trial, or with a change planned for that day, nobody is
    moved (billing.price_rises.carrying).
    """
    planned = PlanChange.objects.filter(account=subscription.account_id).planned()
    return subscription.status != Status.ACTIVE or planned.exists()
