"""What a schedule at Stripe will do when the period ends, in the price list's words; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing import catalog
from billing.catalog import Price
from billing.models import PlanChange
from billing.stripe import shapes
from billing.stripe.catalog_push.diff import PRICE_KEY
from billing.stripe.shapes import Doc
from billing.stripe.truth import Truth

# The schedule's metadata key that names the change it was made for.
CHANGE_KEY = "tallyhouse_change"


@dataclass(frozen=True)
class Planned:
    """The next phase. `price` None: one that the price list does not know."""

    schedule_id: str
    nonce: str
    price: Price | None
    quantity: int
    at: datetime

    def is_of(self, change: PlanChange) -> bool:
        """Whether it was made for this change, and still is what the change says."""
        if change.stripe_schedule_id != self.schedule_id and change.nonce != self.nonce:
            return False
        # A metered price has no quantity to compare.
        same_number = change.to_quantity == self.quantity or bool(self.price and self.price.meter)
        return self.price is None or (change.to_price == self.price.lookup_key and same_number)


def read(schedule: Doc | None, document: Doc) -> Planned | None:
    """What will change; None where nothing will: no schedule, or one whose next phase is as things are."""
    current = (schedule or {}).get("current_phase")
    if schedule is None or current is None:
        return None
    following = [phase for phase in schedule["phases"] if phase["start_date"] >= current["end_date"]]
    if not following:
        return None
    coming = _parts(following[0]["items"])
    if coming == _parts(shapes.items(document)):
        return None
    items = following[0]["items"]
    known = [(price, item) for item in items if (price := _price(item["price"])) is not None]
    prices = catalog.current()
    best = max(known, key=lambda one: (one[0].meter is None, prices.plan(one[0].plan_key).rank), default=None)
    return Planned(
        schedule_id=schedule["id"],
        nonce=(schedule.get("metadata") or {}).get(CHANGE_KEY) or "",
        price=best[0] if best else None,
        quantity=(best[1].get("quantity") or 1) if best else 1,
        at=shapes.known_moment(following[0]["start_date"]),
    )


def is_still_there(change: PlanChange, truth: Truth) -> bool:
    """Whether Stripe will still do what `change` planned."""
    document = next((one for one in truth.live() if one["id"] == change.stripe_subscription_id), None)
    if document is None:
        return False
    found = read(truth.schedules.get(document["id"]), document)
    return found is not None and found.is_of(change)


def has(document: Doc, lookup_key: str, quantity: int) -> bool:
    """Whether a subscription is bought at this price and number. A metered price has no number to compare."""
    price = catalog.current().find_price(lookup_key)
    is_metered = price is not None and price.meter is not None
    return any(
        lookup_key in _names(item["price"]) and (is_metered or item.get("quantity") == quantity)
        for item in shapes.items(document)
    )


def _parts(items: list[dict[str, object]]) -> set[tuple[str, object]]:
    return {(shapes.id_of(item["price"]), item.get("quantity") or 1) for item in items}


def _price(price: Doc) -> Price | None:
    found = (catalog.current().find_price(name) for name in _names(price) if name)
    return next((one for one in found if one is not None), None)


def _names(price: Doc) -> tuple[str, str]:
    return price.get("lookup_key") or "", (price.get("metadata") or {}).get(PRICE_KEY) or ""
