"""Invoice lines: what a price costs for a period, and what is left of one when something changes midway."""

from decimal import Decimal
from typing import TYPE_CHECKING

from simulator.billing_engine import asking, money, periods, usage
from simulator.resources import prices
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def line(
    *,
    price: Obj,
    quantity: int | Decimal,
    amount: int,
    period: tuple[int, int],
    description: str,
    subscription: str | None = None,
    item: str | None = None,
    is_proration: bool = False,
    invoice_item: str | None = None,
    metadata: dict[str, str] | None = None,
    tax_rates: list[Obj] | None = None,
) -> Obj:
    """One `line_item`; its parent says whether an item of a subscription or a loose invoice item
    caused it.
    """
    whole = int(quantity) if quantity == int(quantity) else 0
    found = new(
        "line_item",
        amount=amount,
        currency=price["currency"],
        description=description,
        discount_amounts=[],
        discountable=True,
        metadata=metadata or {},
        parent=_parent(subscription, item, is_proration, invoice_item),
        period={"start": period[0], "end": period[1]},
        pretax_credit_amounts=[],
        pricing=pricing(price),
        quantity=whole,
        quantity_decimal=money.plain(Decimal(quantity)),
        subscription=subscription,
        subtotal=amount,
        taxes=[],
    )
    found["_"] = {"tax_rates": tax_rates} if tax_rates else {}
    return found


def for_period(sim: "Simulator", subscription: Obj, item: Obj, start: int, end: int) -> Obj:
    """The line of a licensed item for `[start, end)`: the full price, or its share when that is only
    part of an interval.
    """
    price = price_of(sim, item)
    quantity = item["quantity"] or 0
    amount = money.cost(price, quantity)
    full_start = periods.start_of(subscription["billing_cycle_anchor"], price["recurring"], end)
    is_stub = start > full_start
    if is_stub:
        amount = money.share(amount, end - start, end - full_start)
    return line(
        price=price,
        quantity=quantity,
        amount=amount,
        period=(start, end),
        description=describe(sim, price, quantity),
        subscription=subscription["id"],
        item=item["id"],
        is_proration=is_stub,
        metadata=subscription["metadata"],
        tax_rates=item["tax_rates"],
    )


def counted_from(item: Obj) -> int:
    """When use began to be this item's: with its period, or later, when it got its metered price midway."""
    start: int = item["current_period_start"]
    since: int = (item.get("_") or {}).get("metered_since", start)
    return max(start, since)


def for_usage(
    sim: "Simulator", subscription: Obj, item: Obj, start: int, end: int, *, is_last: bool = False
) -> Obj:
    """The line of a metered item for what was used in `[start, end)`; counted again when the invoice
    is finalized.

    `is_last`: the item ends at `end`, and what was used in that very second is on it too. On a test clock, which
    stands still, that second may hold a whole day's work, and no later invoice would have it.
    """
    price = price_of(sim, item)
    until = end + 1 if is_last else end
    used = usage.of_price(sim, price, subscription["customer"], start, until)
    found = line(
        price=price,
        quantity=used,
        amount=money.cost(price, used),
        period=(start, end),
        description=describe(sim, price, used),
        subscription=subscription["id"],
        item=item["id"],
        metadata=subscription["metadata"],
        tax_rates=item["tax_rates"],
    )
    found["_"]["usage"] = {"customer": subscription["customer"], "start": start, "end": until}
    return found


def recount(sim: "Simulator", found: Obj) -> None:
    """Counts a usage line again: events may have come late."""
    counted = found["_"].get("usage")
    if not counted:
        return
    price = asking.whole(prices.need(sim, found["pricing"]["price_details"]["price"]), found["currency"])
    used = usage.of_price(sim, price, counted["customer"], counted["start"], counted["end"])
    found["quantity"] = int(used) if used == int(used) else 0
    found["quantity_decimal"] = money.plain(used)
    found["amount"] = found["subtotal"] = money.cost(price, used)
    found["description"] = describe(sim, price, used)


def free_trial(sim: "Simulator", subscription: Obj, item: Obj) -> Obj:
    """The line that says a trial costs nothing."""
    price = price_of(sim, item)
    return line(
        price=price,
        quantity=item["quantity"] or 0,
        amount=0,
        period=(item["current_period_start"], item["current_period_end"]),
        description=f"Trial period for {name_of(sim, price)}",
        subscription=subscription["id"],
        item=item["id"],
        metadata=subscription["metadata"],
    )


def price_of(sim: "Simulator", item: Obj) -> Obj:
    """The price of a subscription item, with tiers, in its subscription's currency."""
    return asking.whole(prices.need(sim, item["price"]), (item.get("_") or {}).get("currency"))


def name_of(sim: "Simulator", price: Obj) -> str:
    """The product's name."""
    product = sim.store.get("product", price["product"])
    return str(product["name"]) if product is not None else str(price["id"])


def describe(sim: "Simulator", price: Obj, quantity: int | Decimal) -> str:
    """`3 seat × Team (at $19.00 / month)`, as recorded from Stripe."""
    product = sim.store.get("product", price["product"]) or {}
    label = f"{product['unit_label']} " if product.get("unit_label") else ""
    amount = money.plain(Decimal(quantity))
    if not price["recurring"]:
        return str(product.get("name", price["id"]))
    return f"{amount} {label}× {product.get('name', price['id'])} (at {rate(price)})"


def rate(price: Obj) -> str:
    """`$19.00 / month`, `$8.00 / every 3 months`."""
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    every = interval if count == 1 else f"every {count} {interval}s"
    if price["billing_scheme"] == "tiered":
        return f"tiered price / {every}"
    each = money.unit(price)
    cents = money.shown(each, price["currency"])
    exact = cents if each == each.to_integral_value() else f"${money.plain(each / 100)}"
    return f"{exact} / {every}"


def pricing(price: Obj) -> Obj:
    """The `pricing` hash of lines and invoice items."""
    decimal = price["unit_amount_decimal"]
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": decimal,
    }


def _parent(subscription: str | None, item: str | None, is_proration: bool, invoice_item: str | None) -> Obj:
    shared = {
        "proration": is_proration,
        "proration_details": {"credited_items": None},
        "subscription": subscription,
    }
    if item is not None:
        details = {**shared, "invoice_item": invoice_item, "subscription_item": item}
        return {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        }
    return {
        "invoice_item_details": {**shared, "invoice_item": invoice_item or ""},
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }
