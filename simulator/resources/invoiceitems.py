"""Invoice items: something extra that waits for the next invoice."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import extras, invoicing
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers, invoices
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("invoiceitem", "ii_", found_by=("customer", "invoice"))


@route("POST", "/v1/invoiceitems")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/invoiceitems: an `amount`, or a `pricing[price]` with a `quantity`."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    target = None
    if "invoice" in params:
        target = invoices.need(sim, params.need("invoice"), status=400)
        if target["status"] != "draft":
            raise invalid("Invoice items can only be added to draft invoices.", code="invoice_not_editable")
    item = extras.draft(
        sim,
        params,
        customer=customer,
        currency=target["currency"] if target else None,
        subscription=params.text("subscription"),
        invoice=target["id"] if target else None,
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


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("invoiceitem", name)
    if found is None:
        raise no_such("invoiceitem", name)
    return found
