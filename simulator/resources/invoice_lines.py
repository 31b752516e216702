"""Lines of an invoice: list them, and while it is a draft add, change and remove them."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import invoicing, rewriting
from simulator.errors import invalid, missing_param
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import invoices
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("line_item", "il_")


@route("GET", "/v1/invoices/{id}/lines")
def index(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/invoices/{id}/lines."""
    return lists.of(invoices.need(sim, name)["lines"]["data"], request.path, request)


@route("POST", "/v1/invoices/{id}/lines/{line}")
def update(sim: "Simulator", request: Request, name: str, line: str) -> Obj:
    """POST /v1/invoices/{id}/lines/{line}: answers the line."""
    invoice = _draft(sim, name)
    with events.change(sim, invoice, "invoice.updated"):
        changed = rewriting.change(sim, invoice, [(line, request.params)])
        invoicing.total_up(sim, invoice)
    return changed[0]


@route("POST", "/v1/invoices/{id}/add_lines")
def add(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/add_lines."""
    invoice = _draft(sim, name)
    with events.change(sim, invoice, "invoice.updated"):
        rewriting.add(sim, invoice, _lines(request.params))
        _finish(sim, invoice, request.params)
    return invoice


@route("POST", "/v1/invoices/{id}/update_lines")
def update_many(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/update_lines."""
    invoice = _draft(sim, name)
    wanted = [(given.need("id"), given) for given in _lines(request.params)]
    with events.change(sim, invoice, "invoice.updated"):
        rewriting.change(sim, invoice, wanted)
        _finish(sim, invoice, request.params)
    return invoice


@route("POST", "/v1/invoices/{id}/remove_lines")
def remove(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/remove_lines."""
    invoice = _draft(sim, name)
    wanted = _lines(request.params)
    for given in wanted:
        rewriting.find(invoice, given.need("id"), param=given.name("id"))
    with events.change(sim, invoice, "invoice.updated"):
        for given in wanted:
            rewriting.remove(sim, invoice, given)
        _finish(sim, invoice, request.params)
    return invoice


def _draft(sim: "Simulator", name: str) -> Obj:
    invoice = invoices.need(sim, name)
    if invoice["status"] != "draft":
        raise invalid(
            f"The lines of an invoice can only be changed while it is a draft; this one is {invoice['status']}.",
            code="invoice_not_editable",
        )
    return invoice


def _lines(params: Params) -> list[Params]:
    found = params.each("lines")
    if not found:
        raise missing_param("lines")
    return found


def _finish(sim: "Simulator", invoice: Obj, params: Params) -> None:
    if "invoice_metadata" in params:
        given = Params({"metadata": params.values["invoice_metadata"]})
        invoice["metadata"] = given.metadata(invoice["metadata"])
    invoicing.total_up(sim, invoice)
