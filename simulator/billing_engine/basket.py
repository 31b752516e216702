"""What is in the basket of a checkout session."""

from typing import TYPE_CHECKING

from simulator.billing_engine import asking, lines, money, taxing, usage
from simulator.errors import invalid
from simulator.params import Params
from simulator.resources import prices, products
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def read(sim: "Simulator", params: Params, mode: str, currency: str | None = None) -> list[Obj]:
    """The `line_items[]` of a checkout session as `item` objects; raises 400 for what cannot be sold together.

    `currency`: which of a price's currencies; its own by default.
    """
    given = params.each("line_items")
    if mode == "setup":
        return []
    if not given:
        raise invalid("You must pass `line_items`.", param="line_items", code="parameter_missing")
    found = []
    for entry in given:
        price = asking.whole(_price(sim, entry), currency)
        if not price["active"]:
            raise invalid(f"The price specified is inactive: {price['id']}.", param=entry.name("price"))
        is_metered = usage.is_metered(price)
        if is_metered and "quantity" in entry:
            raise invalid("You cannot set the quantity for metered plans.", param=entry.name("quantity"))
        quantity = entry.integer("quantity")
        if quantity is None and not is_metered:
            raise invalid(
                "Quantity is required. Add `quantity` to the line item.", param=entry.name("quantity")
            )
        if price["recurring"] and mode == "payment":
            raise invalid(
                "You specified `payment` mode but passed a recurring price.", param=entry.name("price")
            )
        amount = money.cost(price, quantity or 0)
        item = new(
            "item",
            adjustable_quantity=None,
            amount_subtotal=amount,
            amount_total=amount,
            currency=price["currency"],
            description=lines.name_of(sim, price),
            price=price["id"],
            quantity=quantity,
        )
        for absent in ("discounts", "taxes", "metadata"):
            item.pop(absent, None)
        item["_"] = {"tax_rates": taxing.asked_for(sim, entry, "tax_rates")}
        adjustable = entry.inner("adjustable_quantity")
        if adjustable.flag("enabled"):
            item["adjustable_quantity"] = {
                "enabled": True,
                "maximum": adjustable.integer("maximum", 99),
                "minimum": adjustable.integer("minimum", 0),
            }
        found.append(item)
    if mode == "subscription" and not recurring(sim, found):
        raise invalid(
            "You must provide at least one recurring price in `subscription` mode when using prices.",
            param="line_items",
        )
    if len({item["currency"] for item in found}) > 1:
        raise invalid("All prices must have the same currency.", param="line_items")
    return found


def _price(sim: "Simulator", entry: Params) -> Obj:
    if "price" in entry:
        return prices.need(sim, entry.need("price"), param=entry.name("price"), status=400)
    data = entry.inner("price_data")
    if "product" in data:
        product = products.need(sim, data.need("product"), param=data.name("product"), status=400)
    else:
        made = data.inner("product_data")
        product = products.make(sim, made, name=made.need("name"))
    return prices.make(sim, data, product=product["id"])


def recurring(sim: "Simulator", bought: list[Obj]) -> set[str]:
    """The prices among them that come back."""
    return {item["price"] for item in bought if prices.need(sim, item["price"])["recurring"]}
