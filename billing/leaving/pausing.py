"""A pause: from the end of what is paid for nothing is charged and nothing is had, until a day or until taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing import catalog, clock
from billing.anchors import months_after
from billing.lifecycle import schedules, subscriptions
from billing.lifecycle.projection import PAUSED_FROM
from billing.lifecycle.subscriptions import Busy, NothingToChange
from billing.models import Subscription
from billing.models.subscriptions import PAUSE_ENDS_AHEAD
from billing.stripe import gateway

__all__ = ["Busy", "NothingToChange", "Offer", "go_on", "offer_to", "pause"]


@dataclass(frozen=True)
class Offer:
    """A pause from `starts_at` on, and when it would end: by whole months (the account's time)."""

    starts_at: datetime
    ends: dict[int, datetime]


def offer_to(account: Account) -> Offer | None:
    """The pauses `account` may take now: on a monthly price of a plan that has them, paid up and not ending."""
    subscription = Subscription.objects.live().filter(account=account).first()
    if subscription is None or subscription.status != "active" or subscription.is_canceling:
        return None
    plan = catalog.current().plans.get(subscription.plan_key)
    price = catalog.current().in_currency(subscription.currency).find_price(subscription.price_lookup_key)
    is_monthly = price is not None and price.months == 1 and price.meter is None
    starts_at = subscription.current_period_end
    if plan is None or not plan.pause_months or not is_monthly or starts_at is None:
        return None
    if subscription.pause_collection or subscription.items.filter(is_metered=True).exists():
        return None
    return Offer(
        starts_at=starts_at,
        ends={
            months: months_after(subscription.billing_cycle_anchor, starts_at, months)
            for months in range(1, plan.pause_months + 1)
        },
    )


def pause(*, account: Account, months: int) -> Offer:
    """Void the invoices of the next `months` periods at Stripe; what is paid for is had to its end.

    A change that was scheduled is let go of; one that waits for its payment is called off by the sync after it. Raises
    NothingToChange when no such pause is offered, Busy and the gateway's errors.
    https://docs.stripe.com/billing/subscriptions/pause-payment
    """
    with subscriptions.acting(account=account, purpose="pause") as held:
        offer = offer_to(account)
        if offer is None or months not in offer.ends:
            raise NothingToChange("There is no such pause for this plan.")
        subscription = Subscription.objects.live().get(account=account)
        schedules.let_go_of_known(held, subscription)
        name = subscription.stripe_subscription_id
        gateway.post(
            f"/v1/subscriptions/{name}",
            {
                "pause_collection": {
                    "behavior": "void",
                    "resumes_at": int((offer.ends[months] - PAUSE_ENDS_AHEAD).timestamp()),
                },
                "metadata": {PAUSED_FROM: str(int(offer.starts_at.timestamp()))},
            },
            idempotency_key=f"pause:{name}:{held.token}",
        )
    return offer


def go_on(*, account: Account) -> None:
    """End the pause now. Before it began that costs nothing; else a new month begins and is paid at once.

    When the card is refused the pause stays as it is (`error_if_incomplete`). Raises NothingToChange, Busy, and the
    gateway's errors, CardDeclined among them.
    https://docs.stripe.com/api/subscriptions/update#update_subscription-payment_behavior
    """
    with subscriptions.acting(account=account, purpose="go_on") as held:
        subscription = Subscription.objects.live().filter(account=account).first()
        if subscription is None or not subscription.pause_collection or subscription.paused_from is None:
            raise NothingToChange("There is no pause to end.")
        if held.customer.dispute_state == "lost":
            raise subscriptions.OnHold("The account is on hold.")
        has_begun = clock.now(account) >= subscription.paused_from
        paid_at_once = {
            "billing_cycle_anchor": "now",
            "proration_behavior": "none",
            "payment_behavior": "error_if_incomplete",
        }
        name = subscription.stripe_subscription_id
        gateway.post(
            f"/v1/subscriptions/{name}",
            {"pause_collection": "", "metadata": {PAUSED_FROM: ""}, **(paid_at_once if has_begun else {})},
            idempotency_key=f"go_on:{name}:{held.token}",
        )
