"""What is agreed for the period's end waits in a schedule at Stripe; whoever changes more lets go of it first."""

from __future__ import annotations

from billing.lifecycle.lease import Held
from billing.models import PlanChange
from billing.stripe import gateway


def let_go(held: Held) -> None:
    """Release what is scheduled for the account, under its lease; the sync after it takes our row back.

    Stripe refuses to cancel or resume what a schedule manages
    (https://docs.stripe.com/billing/subscriptions/subscription-schedules). Raises LeaseLost, the gateway's errors.
    """
    waiting = PlanChange.objects.filter(account=held.account, state=PlanChange.State.SCHEDULED).first()
    if waiting is not None:
        release(waiting.stripe_schedule_id)
        held.renew()


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
