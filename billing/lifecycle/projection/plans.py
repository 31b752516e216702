"""Which plan and price of the catalog a subscription is; of an unknown price the last known plan stays (D7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billing.catalog import Catalog, Price
from billing.deals import discounts
from billing.lifecycle.projection.marks import OFFER_KEY
from billing.models import Subscription
from billing.models.subscriptions import Status
from billing.stripe import shapes
from billing.stripe.catalog_push.diff import PLAN_KEY, PRICE_KEY
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth

# Finds the lookup key a Stripe price was last known by; "" when never seen.
Remember = Callable[[str], str]


def of(
    subscription: Doc,
    item: Doc | None,
    price: Price | None,
    *,
    truth: Truth,
    known: Subscription | None,
    prices: Catalog,
) -> dict[str, Any]:
    """Plan and price in the catalog's words; of an unknown price the last known plan stays, and staff are told (D7)."""
    review = ""
    if price is None:
        names = ", ".join(
            entry["price"].get("lookup_key") or entry["price"]["id"] for entry in shapes.items(subscription)
        )
        review = f"The catalog does not know {names or 'a subscription without prices'}."
    elif is_surplus(subscription, truth):
        review = "It is live beside another one, and only one counts."
    elif subscription["status"] not in Status.values:
        review = f"Stripe's status {subscription['status']!r} is new to us."
    if price is not None:
        plan_key, lookup_key = price.plan_key, price.lookup_key
    elif known is not None:
        plan_key, lookup_key = known.plan_key, known.price_lookup_key
    else:
        plan_key, lookup_key = prices.default_plan.key, ""
    return {
        "plan_key": plan_key,
        "price_lookup_key": lookup_key,
        "quantity": ((item or {}).get("quantity") or 1) if price or known is None else known.quantity,
        "currency": subscription["currency"],
        "discounts": discounts.read(subscription),
        "needs_review": bool(review),
        "review_reason": review[:200],
    }


def is_surplus(subscription: Doc, truth: Truth) -> bool:
    """Live beside the one that counts."""
    return any(other["id"] == subscription["id"] for other in truth.surplus())


def item_of(subscription: Doc, sold: Mapping[str, Price | None], prices: Catalog) -> dict[str, Any] | None:
    """The item that names the plan: a price per period before one per unit, then the better plan."""
    candidates = [item for item in shapes.items(subscription) if sold[item["id"]] is not None]

    def worth(item: dict[str, Any]) -> tuple[bool, int]:
        price = sold[item["id"]]
        assert price is not None
        return price.meter is None, prices.plan(price.plan_key).rank

    return max(candidates, key=worth, default=None)


def price_of(item: Doc, *, prices: Catalog, remember: Remember) -> Price | None:
    """The price in the catalog: by its lookup key, our mark on it, or what it was called when last seen."""
    price = item["price"]
    for name in (price.get("lookup_key"), (price.get("metadata") or {}).get(PRICE_KEY)):
        found = prices.find_price(name) if name else None
        if found is not None:
            return found
    # Asked only where it is needed: most prices say themselves what they are called.
    name = remember(price["id"])
    return (prices.find_price(name) if name else None) or _agreed(price, prices)


def _agreed(price: Doc, prices: Catalog) -> Price | None:
    """A price made for one customer's offer is in no price list, and says itself which plan it is for."""
    marks = price.get("metadata") or {}
    plan = prices.plans.get(marks.get(PLAN_KEY) or "") if marks.get(OFFER_KEY) else None
    rhythm = price.get("recurring")
    if plan is None or not rhythm:
        return None
    return Price(
        lookup_key="",
        plan_key=plan.key,
        amount=price["unit_amount"] or 0,  # none where it has tiers, which Stripe adds up
        currency=price["currency"],
        interval=rhythm["interval"],
        interval_count=rhythm["interval_count"],
        per_seat=True,
    )
