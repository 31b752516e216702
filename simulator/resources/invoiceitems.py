"""Invoice items: something extra that waits for the next invoice."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import invoicing, lines, money
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import customers, invoices, prices
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/invoiceitems")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/invoiceitems: an `amount`, or a `pricing[price]` with a `quantity`."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    now = sim.clock.now(customer)
    price = _price(sim, params)
    quantity = params.integer("quantity", 1) or 0
    amount = money.cost(price, quantity) if price else params.integer("amount")
    if amount is None:
        raise invalid("You must pass `amount` or `pricing`.", param="amount", code="parameter_missing")
    target = None
    if "invoice" in params:
        target = invoices.need(sim, params.need("invoice"), status=400)
        if target["status"] != "draft":
            raise invalid("Invoice items can only be added to draft invoices.", code="invoice_not_editable")
    subscription = params.text("subscription")
    details = {"subscription": subscription, "subscription_item": None}
    period = params.inner("period")
    item = new(
        "invoiceitem",
        amount=amount,
        currency=price["currency"] if price else (params.text("currency") or "usd").lower(),
        customer=customer["id"],
        date=now,
        description=params.text("description") or (lines.name_of(sim, price) if price else None),
        discountable=params.flag("discountable", True),
        discounts=[],
        frozen_fields=[],
        invoice=target["id"] if target else None,
        metadata=params.metadata(),
        net_amount=amount,
        parent={"subscription_details": details, "type": "subscription_details"} if subscription else None,
        period={"start": period.integer("start", now), "end": period.integer("end", now)},
        pricing=lines.pricing(price) if price else None,
        proration=False,
        proration_details=None,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=[],
        test_clock=customer["test_clock"],
    )
    events.created(sim, item)
    if target is not None:
        with events.change(sim, target, "invoice.updated"):
            line = invoicing.item_line(sim, item)
            line["invoice"] = target["id"]
            target["lines"]["data"].append(line)
            invoicing.total_up(sim, target)
    return item


@route("GET", "/v1/invoiceitems")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/invoiceitems, by customer, invoice, pending."""
    params = request.params
    among = None
    for key in ("invoice", "customer"):
        if key in params:
            among = sim.store.find("invoiceitem", key, params.text(key))
            break

    def wanted(item: Obj) -> bool:
        return "pending" not in params or (item["invoice"] is None) == params.flag("pending")

    return lists.page(sim, request, "invoiceitem", among=among, where=wanted)


@route("GET", "/v1/invoiceitems/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/invoiceitems/{id}."""
    return _need(sim, name)


@route("DELETE", "/v1/invoiceitems/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/invoiceitems/{id} while it is pending."""
    item = _need(sim, name)
    if item["invoice"] is not None:
        raise invalid("This invoice item is already on an invoice.", code="invoice_not_editable")
    sim.store.remove("invoiceitem", name)
    events.emit(sim, "invoiceitem.deleted", item)
    return {"id": name, "object": "invoiceitem", "deleted": True}


def _price(sim: "Simulator", params: Params) -> Obj | None:
    name = params.inner("pricing").text("price")
    return prices.whole(prices.need(sim, name, param="pricing[price]", status=400)) if name else None


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("invoiceitem", name)
    if found is None:
        raise no_such("invoiceitem", name)
    return found
