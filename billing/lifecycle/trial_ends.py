"""A trial's end: put off by staff who say why, or passed by who adds a card afterwards and starts the plan."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from billing import clock, effects
from billing.lifecycle import subscriptions
from billing.lifecycle.subscriptions import Busy, NothingToChange
from billing.models import Customer, Effect, Subscription
from billing.models.subscriptions import Status
from billing.stripe import gateway

__all__ = ["Busy", "NoCard", "NotLater", "NothingToChange", "put_off", "start"]


class NotLater(Exception):
    """The new end is not after the old one. The text is for staff."""


class NoCard(Exception):
    """The plan cannot start: there is nothing to charge. The text is for the customer."""


def put_off(*, account: Account, until: datetime, reason: str, by: str, nonce: str) -> None:
    """Let a running trial end later, at `until`. `nonce` names this act: sent again it is done once.

    Who did it and why stays on the record (an Effect). Raises NothingToChange when no trial runs, NotLater, Busy and
    the gateway's errors. https://docs.stripe.com/billing/subscriptions/trials
    """
    key = f"trial_put_off:{nonce}"
    with subscriptions.acting(account=account, purpose="put_off_trial") as held:
        if Effect.objects.filter(key=key).exists():
            return
        running = Subscription.objects.live().filter(account=account, status=Status.TRIALING).first()
        if running is None or running.trial_end is None:
            raise NothingToChange("There is no trial that runs.")
        if until <= running.trial_end:
            raise NotLater(
                f"The trial runs until {running.trial_end:%-d %B %Y, %H:%M} UTC; choose a later end."
            )
        gateway.post(
            f"/v1/subscriptions/{running.stripe_subscription_id}",
            {"trial_end": int(until.timestamp()), "proration_behavior": "none"},
            idempotency_key=key,
        )
        with held.saving():
            effects.once(
                key=key,
                kind="trial_put_off",
                account=account,
                now=clock.now(account),
                detail={
                    "from": running.trial_end.isoformat(),
                    "until": until.isoformat(),
                    "by": by,
                    "reason": reason,
                },
            )


def start(*, account: Account) -> None:
    """Begin to pay for a plan that was paused because its trial ended without a card. A period begins now.

    Raises NothingToChange, NoCard, Busy and the gateway's errors. A card that is refused leaves an open invoice, as at
    any renewal. https://docs.stripe.com/api/subscriptions/resume
    """
    with subscriptions.acting(account=account, purpose="start_after_trial") as held:
        paused = Subscription.objects.live().filter(account=account, status=Status.PAUSED).first()
        if paused is None:
            raise NothingToChange("There is no plan that waits for a card.")
        if not Customer.objects.get(account=account).card_last4:
            raise NoCard("There is no card yet. Add one, then start the plan.")
        name = paused.stripe_subscription_id
        gateway.post(
            f"/v1/subscriptions/{name}/resume",
            {"billing_cycle_anchor": "now"},
            idempotency_key=f"start:{name}:{held.token}",
        )
