"""One subscription at Stripe as our row of it and its items."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.catalog import Catalog, Price
from billing.lifecycle.projection import debts, plans
from billing.lifecycle.projection.marks import PAUSED_FROM
from billing.lifecycle.projection.plans import Remember
from billing.models import Subscription
from billing.models.subscriptions import Status
from billing.stripe import shapes
from billing.stripe.shapes import Doc, id_of, known_moment, moment
from billing.stripe.truth import Truth, is_live


@dataclass(frozen=True)
class SubscriptionValues:
    """One Subscription row and its items, ready to be written."""

    stripe_subscription_id: str
    row: dict[str, Any]
    items: dict[str, dict[str, Any]] = field(default_factory=dict)


def of_subscription(
    subscription: Doc,
    *,
    truth: Truth,
    known: Subscription | None,
    prices: Catalog,
    remember: Remember,
    now: datetime,
) -> SubscriptionValues:
    """The row of one subscription. `known` is the row as it stands; `now` the account's time."""
    sold = {
        item["id"]: plans.price_of(item, prices=prices, remember=remember)
        for item in shapes.items(subscription)
    }
    plan_item = plans.item_of(subscription, sold, prices)
    price = sold[plan_item["id"]] if plan_item else None
    invoices = [
        invoice for invoice in truth.invoices if shapes.invoice_subscription_id(invoice) == subscription["id"]
    ]
    return SubscriptionValues(
        stripe_subscription_id=subscription["id"],
        row={
            **_status(subscription, truth=truth, known=known, now=now),
            **plans.of(subscription, plan_item, price, truth=truth, known=known, prices=prices),
            **debts.of(subscription, invoices, truth=truth, known=known, now=now),
            **_times(subscription, plan_item),
            **_end_of_schedule(subscription, plan_item, truth.schedules.get(subscription["id"])),
        },
        items={
            item["id"]: _item(item, sold[item["id"]], subscription) for item in shapes.items(subscription)
        },
    )


def _status(subscription: Doc, *, truth: Truth, known: Subscription | None, now: datetime) -> dict[str, Any]:
    status = subscription["status"]
    before = known.last_known_status if known else ""
    return {
        "stripe_customer_id": id_of(subscription["customer"]),
        "status": status,
        "status_since": known.status_since if known and known.status == status else now,
        "last_known_status": status if status in Status.values else before,
        "is_live": is_live(dict(subscription)) and not plans.is_surplus(subscription, truth),
        **_pause(subscription),
        "collection_method": subscription["collection_method"],
        "stripe_schedule_id": id_of(subscription.get("schedule")),
    }


def _pause(subscription: Doc) -> dict[str, Any]:
    """A pause asked for on our page says in the metadata from when; one made at Stripe does not, and costs nothing."""
    pause = subscription.get("pause_collection") or {}
    since = (subscription.get("metadata") or {}).get(PAUSED_FROM) or ""
    return {
        "pause_collection": pause.get("behavior") or "",
        "paused_from": moment(int(since)) if pause and since.isdigit() else None,
        "pause_resumes_at": moment(pause.get("resumes_at")),
    }


def _times(subscription: Doc, item: Doc | None) -> dict[str, Any]:
    if item is not None:
        start, end = shapes.item_period(item, subscription)
    else:
        start, end = (moment(at) for at in shapes.sub_period(subscription))
    return {
        "current_period_start": start,
        "current_period_end": end,
        "billing_cycle_anchor": known_moment(subscription["billing_cycle_anchor"]),
        "started_at": known_moment(subscription["start_date"]),
        "trial_end": moment(subscription.get("trial_end")),
        "cancel_at_period_end": subscription["cancel_at_period_end"],
        "cancel_at": moment(subscription.get("cancel_at")),
        "canceled_at": moment(subscription.get("canceled_at")),
        "ended_at": moment(subscription.get("ended_at")),
    }


def _end_of_schedule(subscription: Doc, item: Doc | None, schedule: Doc | None) -> dict[str, Any]:
    """A schedule may end the subscription after its last phase, and only the schedule says so: `end_behavior` in
    https://docs.stripe.com/api/subscription_schedules/object
    """
    if not schedule or schedule["end_behavior"] != "cancel" or not schedule["phases"]:
        return {}
    ends = [schedule["phases"][-1]["end_date"], subscription.get("cancel_at")]
    at = min(end for end in ends if end)
    _, period_ends = shapes.item_period(item, subscription) if item else (None, None)
    # Stripe's preview of the next invoice does not look so far.
    is_last = period_ends is not None and known_moment(at) <= period_ends
    return {"cancel_at": known_moment(at), **({"next_charge_amount": None} if is_last else {})}


def _item(item: Doc, price: Price | None, subscription: Doc) -> dict[str, Any]:
    start, end = shapes.item_period(item, subscription)
    return {
        "stripe_price_id": item["price"]["id"],
        "stripe_product_id": id_of(item["price"]["product"]),
        "lookup_key": price.lookup_key if price else (item["price"].get("lookup_key") or ""),
        "plan_key": price.plan_key if price else "",
        "quantity": item.get("quantity"),
        "is_metered": shapes.is_metered(item["price"]),
        "current_period_start": start,
        "current_period_end": end,
    }
