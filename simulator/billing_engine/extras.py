"""Things charged beside a subscription's items: invoice items, made one by one or named in `add_invoice_items`."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import asking, lines, money, taxing
from simulator.errors import invalid
from simulator.params import Params
from simulator.resources import prices, products
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def read(
    sim: "Simulator",
    params: Params,
    *,
    customer: Obj,
    currency: str,
    subscription: str | None = None,
    name: str = "add_invoice_items",
) -> list[Obj]:
    """The entries of `add_invoice_items[]` (or a preview's `invoice_items[]`) as drafts; nothing is kept."""
    return [
        draft(sim, given, customer=customer, currency=currency, subscription=subscription)
        for given in params.each(name)
    ]


def draft(
    sim: "Simulator",
    params: Params,
    *,
    customer: Obj,
    currency: str | None = None,
    subscription: str | None = None,
    invoice: str | None = None,
) -> Obj:
    """An invoice item: an `amount`, or a price with a `quantity`; raises 400 for neither."""
    now = sim.clock.now(customer)
    sold_in = (params.text("currency") or currency or "").lower() or None
    price = _price(sim, params, sold_in)
    quantity = params.integer("quantity", 1) or 0
    each = params.decimal("unit_amount_decimal" if "unit_amount_decimal" in params else "unit_amount")
    if price is not None:
        amount: int | None = money.cost(price, quantity)
    elif each is not None:
        amount = money.whole(each * quantity)
    else:
        amount = params.integer("amount")
    if amount is None:
        raise invalid(
            "You must pass `amount` or `pricing`.", param=params.name("amount"), code="parameter_missing"
        )
    details = {"subscription": subscription, "subscription_item": None}
    period = params.inner("period")
    return new(
        "invoiceitem",
        amount=amount,
        currency=price["currency"] if price else (sold_in or "usd"),
        customer=customer["id"],
        date=now,
        description=params.text("description") or (lines.name_of(sim, price) if price else None),
        discountable=params.flag("discountable", True),
        discounts=[],
        frozen_fields=[],
        invoice=invoice,
        metadata=params.metadata(),
        net_amount=amount,
        parent={"subscription_details": details, "type": "subscription_details"} if subscription else None,
        period={"start": _moment(period, "start", now), "end": _moment(period, "end", now)},
        pricing=lines.pricing(price) if price else None,
        proration=False,
        proration_details=None,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=taxing.asked_for(sim, params, "tax_rates"),
        test_clock=customer["test_clock"],
    )


def keep(sim: "Simulator", drafts: list[Obj]) -> None:
    """Makes them real: they wait for the next invoice."""
    for each in drafts:
        events.created(sim, each)


def _price(sim: "Simulator", params: Params, currency: str | None) -> Obj | None:
    """By `pricing[price]`, by `price`, or made from `price_data`; in the currency asked for if it is sold in it."""
    if "price_data" in params:
        data = params.inner("price_data")
        product = products.need(sim, data.need("product"), param=data.name("product"), status=400)
        return asking.whole(prices.make(sim, data, product=product["id"]))
    pricing = params.inner("pricing")
    where, name = (pricing, pricing.text("price")) if pricing.values else (params, params.text("price"))
    if not name:
        return None
    found = prices.need(sim, name, param=where.name("price"), status=400)
    return asking.whole(found, currency)


def _moment(period: Params, name: str, now: int) -> int:
    """A moment of `period`: Unix seconds, or as a hash `{type: timestamp, timestamp: …}`."""
    if isinstance(period.values.get(name), dict):
        return period.inner(name).integer("timestamp", now) or now
    return period.integer(name, now) or now
