"""Quotes: an offer written down, finalized, and turned into a subscription when it is accepted
(docs.stripe.com/api/quotes), as far as an enterprise offer needs them.
"""

from typing import TYPE_CHECKING, Any

from simulator import agenda, events, lists, view
from simulator.billing_engine import money, offering, periods
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import customers
from simulator.routing import Document, Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("quote", "qt_", found_by=("customer",))

_OPEN_DAYS = 30


@route("POST", "/v1/quotes")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/quotes: a draft, maybe made from another quote or as a revision of it."""
    params = request.params
    source = _source(sim, params)
    name = source["customer"] if source else params.need("customer")
    customer = customers.need(sim, name, param="customer", status=400)
    now = sim.clock.now(customer)
    quote = new(
        "quote",
        created=now,
        customer=customer["id"],
        default_tax_rates=[],
        expires_at=params.integer("expires_at") or now + _OPEN_DAYS * periods.DAY,
        metadata=params.metadata(),
        status="draft",
        test_clock=customer["test_clock"],
    )
    quote["invoice_settings"]["issuer"] = {"type": "self"}
    quote["subscription_data"] |= {
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"}
    }
    quote.pop("line_items")
    quote["_"] = {"line_items": [], "discounts": []}
    if source is not None:
        offering.copy(quote, source, is_revision=params.inner("from_quote").flag("is_revision"))
    offering.fill(sim, quote, params)
    return events.created(sim, quote)


@route("GET", "/v1/quotes")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/quotes, by customer and status."""
    customer, status = request.params.text("customer"), request.params.text("status")
    among = sim.store.find("quote", "customer", customer) if customer else None
    return lists.page(sim, request, "quote", among=among, where=lambda one: status in (None, one["status"]))


@route("GET", "/v1/quotes/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}."""
    return _need(sim, name)


@route("POST", "/v1/quotes/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}: anything while a draft, then metadata and the last day."""
    quote, params = _need(sim, name), request.params
    if quote["status"] not in ("draft", "open"):
        raise _wrong(quote, "updated")
    if quote["status"] == "open" and set(params) - {"metadata", "expires_at", "expand"}:
        raise _wrong(quote, "updated")
    quote["metadata"] = params.metadata(quote["metadata"])
    quote["expires_at"] = params.integer("expires_at", quote["expires_at"])
    if quote["status"] == "draft":
        offering.fill(sim, quote, params)
    return sim.save(quote)


@route("POST", "/v1/quotes/{id}/finalize")
def finalize(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/finalize: from now on it can be accepted."""
    quote = _need(sim, name)
    if quote["status"] != "draft":
        raise _wrong(quote, "finalized")
    if not quote["_"]["line_items"]:
        raise invalid("A quote needs line items before it can be finalized.", param="line_items")
    count = sum(1 for other in sim.store.all("quote") if other["number"]) + 1
    quote |= {"status": "open", "number": f"QT-{count:06d}"}
    quote["expires_at"] = request.params.integer("expires_at", quote["expires_at"])
    quote["status_transitions"]["finalized_at"] = sim.clock.now(quote)
    sim.save(quote)
    _supersede(sim, quote)
    events.emit(sim, "quote.finalized", quote)
    return quote


@route("POST", "/v1/quotes/{id}/accept")
def accept(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/accept: the subscription begins, billed as the quote says."""
    quote = _need(sim, name)
    if quote["status"] != "open":
        raise _wrong(quote, "accepted")
    customer = customers.need(sim, quote["customer"], param="customer", status=400)
    offering.begin(sim, quote, customer)
    quote["status"] = "accepted"
    quote["status_transitions"]["accepted_at"] = sim.clock.now(customer)
    sim.save(quote)
    events.emit(sim, "quote.accepted", quote)
    return quote


@route("POST", "/v1/quotes/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/quotes/{id}/cancel."""
    quote = _need(sim, name)
    if quote["status"] not in ("draft", "open"):
        raise _wrong(quote, "canceled")
    return _cancel(sim, quote)


@route("GET", "/v1/quotes/{id}/line_items")
def list_line_items(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}/line_items."""
    return lists.of(_need(sim, name)["_"]["line_items"], request.path, request)


@route("GET", "/v1/quotes/{id}/computed_upfront_line_items")
def list_upfront(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/quotes/{id}/computed_upfront_line_items: what is due on acceptance."""
    return lists.of(_need(sim, name)["_"]["line_items"], request.path, request)


@route("GET", "/v1/quotes/{id}/pdf")
def pdf(sim: "Simulator", request: Request, name: str) -> Document:
    """GET /v1/quotes/{id}/pdf of one that is no draft any more; the SDKs ask files.stripe.com for it."""
    from simulator.pages.pdf import one_page

    quote = _need(sim, name)
    if quote["number"] is None:
        raise _wrong(quote, "downloaded")
    customer = sim.store.get("customer", quote["customer"]) or {}
    currency = quote["currency"]
    bought = [
        f"{one['quantity'] or 1} × {one['description']}: {money.shown(one['amount_total'], currency)}"
        for one in quote["_"]["line_items"]
    ]
    said = [
        quote["header"] or "Simulated shop",
        f"Quote {quote['number']} for {customer.get('name') or customer.get('email') or quote['customer']}",
        f"Open until {periods.shown(quote['expires_at'])}",
        *([quote["description"]] if quote["description"] else []),
        "",
        *bought,
        f"Total: {money.shown(quote['amount_total'], currency)}",
        "",
        quote["footer"] or "",
        "This is a simulation: nothing was offered by anybody.",
    ]
    return Document(one_page(said), "application/pdf")


@view.grows("quote", "line_items")
def _grow_line_items(sim: "Simulator", quote: Obj) -> Any:
    return lists.of(quote["_"]["line_items"], f"/v1/quotes/{quote['id']}/line_items")


def _source(sim: "Simulator", params: Params) -> Obj | None:
    name = params.inner("from_quote").text("quote")
    if name is None:
        return None
    found = sim.store.get("quote", name)
    if found is None:
        raise no_such("quote", name, param="from_quote[quote]", status=400)
    if params.inner("from_quote").flag("is_revision") and found["status"] != "open":
        raise invalid("Only an open quote can be revised.", param="from_quote[is_revision]")
    return found


def _supersede(sim: "Simulator", quote: Obj) -> None:
    """A revision that is final takes the place of what it revises."""
    origin = quote["from_quote"] or {}
    revised = sim.store.get("quote", origin.get("quote"))
    if revised is not None and origin["is_revision"] and revised["status"] == "open":
        _cancel(sim, revised)


def _cancel(sim: "Simulator", quote: Obj) -> Obj:
    quote["status"] = "canceled"
    quote["status_transitions"]["canceled_at"] = sim.clock.now(quote)
    sim.save(quote)
    events.emit(sim, "quote.canceled", quote)
    return quote


def _wrong(quote: Obj, act: str) -> Exception:
    return invalid(f"This quote cannot be {act} because it is {quote['status']}.")


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("quote", name)
    if found is None:
        raise no_such("quote", name, param="quote")
    return found


def _when(sim: "Simulator", quote: Obj) -> int | None:
    return int(quote["expires_at"]) if quote["status"] in ("draft", "open") else None


def _expire(sim: "Simulator", quote: Obj) -> None:
    _cancel(sim, quote)


agenda.duty("quote", _when, _expire)
