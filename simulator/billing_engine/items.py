"""The items of a subscription: read from parameters, made, and kept findable by their own id."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.billing_engine import asking, taxing, usage
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import prices, products
from simulator.shapes import Obj, empty_list, new

if TYPE_CHECKING:
    from simulator.core import Simulator


@dataclass
class Wanted:
    """One entry of an `items[]` parameter: a new item, or what becomes of an old one."""

    price: Obj | None
    quantity: int | None = None
    item: str | None = None
    deleted: bool = False
    metadata: dict[str, str] | None = None
    tax_rates: list[Obj] | None = None
    """Taxes of this item alone; None leaves them as they are, an empty list leaves them to the subscription."""


def read(sim: "Simulator", params: Params, *, name: str = "items") -> list[Wanted]:
    """The entries of `items[]`, with prices found (or made from `price_data`) and quantities checked."""
    found = []
    for given in params.each(name):
        price = None
        if "price" in given:
            price = prices.need(sim, given.need("price"), param=given.name("price"), status=400)
        elif "plan" in given:
            price = prices.need(sim, given.need("plan"), param=given.name("plan"), status=400)
        elif "price_data" in given:
            data = given.inner("price_data")
            product = products.need(sim, data.need("product"), param=data.name("product"), status=400)
            price = prices.make(sim, data, product=product["id"])
        _check(price, given)
        found.append(
            Wanted(
                price,
                given.integer("quantity"),
                given.text("id"),
                given.flag("deleted"),
                given.metadata() if "metadata" in given else None,
                taxing.asked_for(sim, given, "tax_rates") if "tax_rates" in given else None,
            )
        )
    return found


def make(
    sim: "Simulator", subscription: Obj, wanted: Wanted, *, start: int, end: int, item_id: str | None = None
) -> Obj:
    """A new item of a subscription for `[start, end)`; `settle` keeps it."""
    if wanted.price is None:
        raise invalid("Each item needs a price.", param="items[0][price]", code="parameter_missing")
    price = asking.whole(wanted.price, subscription["currency"])
    quantity = None if usage.is_metered(price) else (1 if wanted.quantity is None else wanted.quantity)
    facts: dict[str, Any] = {"id": item_id} if item_id else {}
    found = new(
        "subscription_item",
        created=sim.clock.now(subscription),
        current_period_end=end,
        current_period_start=start,
        metadata=wanted.metadata or {},
        plan=plan_of(price),
        price=price["id"],
        subscription=subscription["id"],
        tax_rates=wanted.tax_rates or [],
        **facts,
    )
    found["quantity"] = quantity
    found["_"] = {"currency": price["currency"]}
    return found


def settle(sim: "Simulator", subscription: Obj, found: list[Obj]) -> None:
    """Puts the items into the subscription; old ones not among them are gone."""
    kept = {item["id"] for item in found}
    for home in sim.store.find("_item_home", "subscription", subscription["id"]):
        if home["id"] not in kept:
            sim.store.remove("_item_home", home["id"])
    for item in found:
        sim.store.put("_item_home", {"id": item["id"], "subscription": subscription["id"]})
    listed = empty_list(f"/v1/subscription_items?subscription={subscription['id']}")
    subscription["items"] = {**listed, "data": found, "total_count": len(found)}
    mark_single(subscription)


def mark_single(subscription: Obj) -> None:
    """Real answers still carry the legacy `plan` and `quantity` of a subscription with one item."""
    data = subscription["items"]["data"]
    if len(data) == 1:
        subscription["plan"], subscription["quantity"] = data[0]["plan"], data[0]["quantity"]
    else:
        subscription.pop("plan", None)
        subscription.pop("quantity", None)


def find(sim: "Simulator", name: str) -> tuple[Obj, Obj]:
    """The item with this id and its subscription."""
    home = sim.store.get("_item_home", name)
    subscription = sim.store.get("subscription", home["subscription"]) if home else None
    for item in subscription["items"]["data"] if subscription else []:
        if item["id"] == name and subscription is not None:
            return item, subscription
    raise no_such("subscription_item", name, param="item")


def plan_of(price: Obj) -> Obj:
    """The legacy `plan` that every item still carries beside its price."""
    recurring = price["recurring"] or {}
    return new(
        "plan",
        id=price["id"],
        active=price["active"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        billing_scheme=price["billing_scheme"],
        created=price["created"],
        currency=price["currency"],
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count"),
        metadata=price["metadata"],
        meter=recurring.get("meter"),
        nickname=price["nickname"],
        product=price["product"],
        tiers_mode=price["tiers_mode"],
        usage_type=recurring.get("usage_type"),
    )


def _check(price: Obj | None, given: Params) -> None:
    if price is None:
        return
    if not price["recurring"]:
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            f"`type=recurring`: {price['id']}.",
            param=given.name("price"),
        )
    if not price["active"]:
        raise invalid(
            f"The price specified is inactive: {price['id']}. This field only accepts active prices.",
            param=given.name("price"),
        )
    if usage.is_metered(price) and "quantity" in given:
        raise invalid("You cannot set the quantity for metered plans.", param=given.name("quantity"))
    quantity = given.integer("quantity")
    if quantity is not None and quantity < 0:
        raise invalid("This value must be greater than or equal to 0.", param=given.name("quantity"))
