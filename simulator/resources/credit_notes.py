"""Credit notes: create, preview, list, void (docs.stripe.com/api/credit_notes)."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import crediting
from simulator.errors import no_such
from simulator.nouns import noun
from simulator.resources import invoices
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("credit_note", "cn_", found_by=("customer", "invoice"))
noun("credit_note_line_item", "cnli_")


@route("POST", "/v1/credit_notes")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/credit_notes: by `amount` or `lines[]`; what is paid goes back as refund, credit or outside."""
    invoice = invoices.need(sim, request.params.need("invoice"), status=400)
    return crediting.issue(sim, invoice, crediting.draft(sim, invoice, request.params))


@route("GET", "/v1/credit_notes/preview")
def preview(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/credit_notes/preview: the same, and nothing is kept."""
    invoice = invoices.need(sim, request.params.need("invoice"), status=400)
    return crediting.draft(sim, invoice, request.params)


@route("GET", "/v1/credit_notes/preview/lines")
def preview_lines(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/credit_notes/preview/lines."""
    return lists.of(preview(sim, request)["lines"]["data"], request.path, request)


@route("GET", "/v1/credit_notes")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/credit_notes, by customer or invoice."""
    among = None
    for key in ("invoice", "customer"):
        if key in request.params:
            among = sim.store.find("credit_note", key, request.params.text(key))
            break
    return lists.page(sim, request, "credit_note", among=among)


@route("GET", "/v1/credit_notes/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/credit_notes/{id}."""
    return _need(sim, name)


@route("POST", "/v1/credit_notes/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/credit_notes/{id}: memo and metadata."""
    note, params = _need(sim, name), request.params
    with events.change(sim, note, "credit_note.updated"):
        if "memo" in params:
            note["memo"] = params.text("memo")
        note["metadata"] = params.metadata(note["metadata"])
    return note


@route("POST", "/v1/credit_notes/{id}/void")
def void(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/credit_notes/{id}/void."""
    note = _need(sim, name)
    return crediting.void(sim, invoices.need(sim, note["invoice"]), note)


@route("GET", "/v1/credit_notes/{id}/lines")
def list_lines(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/credit_notes/{id}/lines."""
    return lists.of(_need(sim, name)["lines"]["data"], request.path, request)


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("credit_note", name)
    if found is None:
        raise no_such("credit_note", name)
    return found
