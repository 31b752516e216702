"""What is agreed for the period's end waits in a schedule at Stripe; whoever changes more lets go of it first."""

from __future__ import annotations

from billing.lifecycle.lease import Held
from billing.models import Subscription
from billing.stripe import gateway, shapes


def let_go(held: Held, subscription_id: str) -> None:
    """Release what is scheduled for the subscription, under its account's lease; the sync after it says so on our rows.

    Stripe is asked, not our rows: a crash, or somebody in the Dashboard, may have left a schedule we do not know yet.
    Raises LeaseLost, the gateway's errors.
    """
    scheduled = shapes.id_of(gateway.get(f"/v1/subscriptions/{subscription_id}").get("schedule"))
    if scheduled:
        release(scheduled)
    held.renew()


def let_go_of_known(held: Held, subscription: Subscription) -> None:
    """As `let_go`, of what the last sync saw, whoever made it.

    Stripe refuses to cancel or resume what a schedule manages
    (https://docs.stripe.com/billing/subscriptions/subscription-schedules).
    """
    if subscription.stripe_schedule_id:
        release(subscription.stripe_schedule_id)
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
