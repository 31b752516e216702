"""A trial's end: put off by staff who say why, or passed by who adds a card afterwards and starts the plan."""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Account
from billing import clock
from billing.lifecycle import subscriptions
from billing.lifecycle.subscriptions import Busy, NothingToChange
from billing.models import Customer, Effect, Subscription
from billing.models.subscriptions import Status
from billing.stripe import gateway

__all__ = ["Busy", "NoCard", "NothingToChange", "put_off", "start"]

KIND = "trial_put_off"


class NoCard(Exception):
    """The plan cannot start: there is nothing to charge. The text is for the customer."""


def put_off(*, account: Account, days: int, reason: str, by: str, nonce: str) -> None:
    """Let a running trial end `days` later. `nonce` names this act: sent again it is done once.

    From which end the days count is written down before Stripe is asked, with who did it and why (an Effect): after an
    answer that got lost, the next press counts from there and not from the end it has moved already.

    Raises NothingToChange when no trial runs, Busy and the gateway's errors.
    https://docs.stripe.com/billing/subscriptions/trials
    """
    with subscriptions.acting(account=account, purpose="put_off_trial") as held:
        running = Subscription.objects.live().filter(account=account, status=Status.TRIALING).first()
        if running is None or running.trial_end is None:
            raise NothingToChange("There is no trial that runs.")
        now = clock.now(account)
        with held.saving():
            act, _ = Effect.objects.get_or_create(
                key=f"{KIND}:{nonce}",
                defaults={
                    "kind": KIND,
                    "account": account,
                    "created_at": now,
                    "detail": {"from": running.trial_end.isoformat(), "by": by, "reason": reason},
                },
            )
        if act.done_at is not None:
            return
        until = datetime.fromisoformat(act.detail["from"]) + timedelta(days=days)
        if until != running.trial_end:
            gateway.post(
                f"/v1/subscriptions/{running.stripe_subscription_id}",
                {"trial_end": int(until.timestamp()), "proration_behavior": "none"},
                idempotency_key=f"{act.key}:{held.token}",
            )
        with held.saving():
            detail = {**act.detail, "until": until.isoformat(), "by": by, "reason": reason}
            Effect.objects.filter(pk=act.pk).update(done_at=now, detail=detail)


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
