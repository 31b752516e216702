"""What is agreed for the period's end waits in a schedule at Stripe; whoever changes more lets go of it first."""

from __future__ import annotations

from billing.lifecycle.lease import Held
from billing.models import PlanChange
from billing.stripe import gateway
from billing.stripe.shapes import id_of
from billing.stripe.truth import Truth


def let_go(held: Held) -> None:
    """Release what is scheduled for the account, under its lease; the sync after it takes our row back.

    Stripe refuses to cancel or resume what a schedule manages
    (https://docs.stripe.com/billing/subscriptions/subscription-schedules). Raises LeaseLost, the gateway's errors.
    """
    waiting = PlanChange.objects.filter(account=held.account, state=PlanChange.State.SCHEDULED).first()
    if waiting is not None:
        release(waiting.stripe_schedule_id)
        held.renew()


def take_new_card(said: Truth, *, held: Held) -> None:
    """Let the account's schedule charge the card that the subscription charges, under its lease.

    A schedule keeps the card it was made with and puts it back on the subscription when its next phase begins
    (`default_settings`, https://docs.stripe.com/api/subscription_schedules/object): who entered another card
    meanwhile would be charged on the old one. Raises LeaseLost and the gateway's errors.
    """
    waiting = PlanChange.objects.filter(account=held.account, state=PlanChange.State.SCHEDULED).first()
    if waiting is None:
        return
    name = waiting.stripe_schedule_id
    for subscription in said.live():
        if id_of(subscription.get("schedule")) != name:
            continue
        held.renew()
        settings = gateway.get(f"/v1/subscription_schedules/{name}")["default_settings"]
        card = id_of(subscription.get("default_payment_method"))
        if card and id_of(settings["default_payment_method"]) != card:
            gateway.post(
                f"/v1/subscription_schedules/{name}",
                {"default_settings": {"default_payment_method": card}},
                idempotency_key=f"card:{name}:{card}:{held.token}",
            )


def release(schedule_id: str) -> None:
    """The subscription goes on as it is. One that is over or released already is what was wanted."""
    try:
        gateway.post(
            f"/v1/subscription_schedules/{schedule_id}/release", idempotency_key=f"release:{schedule_id}"
        )
    except gateway.InvalidRequest:
        found = gateway.get(f"/v1/subscription_schedules/{schedule_id}")
        if found["status"] in ("not_started", "active"):
            raise
