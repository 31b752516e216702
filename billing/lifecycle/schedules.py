"""What is agreed for the period's end waits in a schedule at Stripe; whoever changes more lets go of it first."""

from __future__ import annotations

from datetime import datetime

from billing import alerts
from billing.lifecycle.lease import Held
from billing.models import Subscription
from billing.stripe import gateway, shapes
from billing.stripe.truth import Truth


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


def take_new_card(said: Truth, *, held: Held, now: datetime) -> None:
    """Let the account's schedule charge the card that the subscription charges, under its lease.

    A schedule keeps the card it was made with and puts it back on the subscription when its next phase begins
    (`default_settings`, https://docs.stripe.com/api/subscription_schedules/object): who entered another card
    meanwhile would be charged on the old one. What Stripe refuses is told to staff and stops no sync. `now` is the
    account's time. Raises LeaseLost and the gateway's other errors.
    """
    for subscription in said.live():
        schedule = said.schedules.get(subscription["id"])
        card = shapes.id_of(subscription.get("default_payment_method"))
        if not schedule or not card:
            continue
        if shapes.id_of(schedule["default_settings"]["default_payment_method"]) != card:
            held.renew()
            try:
                gateway.post(
                    f"/v1/subscription_schedules/{schedule['id']}",
                    {"default_settings": {"default_payment_method": card}},
                    idempotency_key=f"card:{schedule['id']}:{card}:{held.token}",
                )
            except gateway.InvalidRequest as refusal:
                _tell(schedule["id"], refusal.message, held=held, now=now)


def _tell(schedule_id: str, refused: str, *, held: Held, now: datetime) -> None:
    with held.saving():
        alerts.raise_alert(
            key=f"schedule_card:{schedule_id}",
            kind="schedule_card",
            message=f"{held.account} pays with another card by now, and the planned change {schedule_id} would charge "
            f"the old one. Stripe refused the new one there: {refused} Set it by hand at Stripe.",
            account=held.account,
            now=now,
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
