"""Plans that end because a dispute was lost: what we did at Stripe, and whether it is still why they end."""

from __future__ import annotations

from datetime import datetime

from billing.models import Effect, PlanChange, Subscription

KIND = "dispute_ends"
# What became of it, once the dispute is forgiven and the plan goes on; the other words are for staff who look.
TAKEN_BACK = "taken back"
CANCELED = "canceled by the customer"


def key_of(subscription_id: str) -> str:
    """Names, among the effects, a plan that was ended because a dispute was lost."""
    return f"{KIND}:{subscription_id}"


def ours(subscription_id: str) -> Effect | None:
    """What we did, as long as it was neither taken back nor taken over by somebody who canceled as well."""
    return Effect.objects.filter(key=key_of(subscription_id), detail__became="").first()


def is_why(subscription: Subscription) -> bool:
    """Whether the plan ends, or ended, because of a dispute and nothing else."""
    if not subscription.is_canceling and subscription.is_live:
        return False
    done = ours(subscription.stripe_subscription_id)
    return done is not None and is_same(done, subscription)


def was_why(subscription: Subscription) -> bool:
    """Whether the cancellation on the row, taken back since, was ours and we took it back."""
    name = subscription.stripe_subscription_id
    done = Effect.objects.filter(key=key_of(name), detail__became=TAKEN_BACK).first()
    return done is not None and is_same(done, subscription)


def let_go(subscription_id: str) -> list[PlanChange]:
    """The changes that went with it, planned or waiting for their payment, as long as the hold or its end is news."""
    done = Effect.objects.filter(
        key=key_of(subscription_id), detail__became__in=["", TAKEN_BACK, CANCELED]
    ).first()
    named = done.detail.get("let_go") or [] if done is not None else []
    return list(PlanChange.objects.filter(pk__in=named).order_by("pk"))


def planned_before(subscription: Subscription, *, now: datetime) -> PlanChange | None:
    """What was planned and is off because of the dispute, until its day, or until something else is chosen."""
    change = next((one for one in let_go(subscription.stripe_subscription_id) if one.is_later), None)
    if change is None or change.takes_effect_at <= now:
        return None
    newer = PlanChange.objects.filter(account=subscription.account_id, pk__gt=change.pk)
    return None if newer.exclude(state=PlanChange.State.FAILED).exists() else change


def is_same(done: Effect, subscription: Subscription) -> bool:
    """Whether the cancellation on the row is the one that we made: Stripe dates each anew."""
    at = subscription.canceled_at
    return at is not None and done.detail.get("canceled_at") in (None, int(at.timestamp()))


def take_over(subscription_id: str, *, became: str) -> None:
    """Whatever becomes of the dispute, it is no longer why the plan ends. `became`: why not, in a word."""
    done = ours(subscription_id)
    if done is not None:
        Effect.objects.filter(pk=done.pk).update(detail={**done.detail, "became": became})
