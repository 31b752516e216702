"""Payouts and top-ups: money to and from the shop's own bank, as objects with events; no balance is checked."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.billing_engine import periods
from simulator.errors import invalid, no_such
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/payouts")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/payouts: on its way, there in two days."""
    params, now = request.params, sim.clock.now()
    payout = new(
        "payout",
        id=new_id("po_"),
        amount=_amount(request),
        arrival_date=now + 2 * periods.DAY,
        created=now,
        currency=params.need("currency").lower(),
        description=params.text("description"),
        metadata=params.metadata(),
        method=params.choice("method", ("standard", "instant"), "standard"),
        reconciliation_status="not_applicable",
        source_type="card",
        status="pending",
    )
    return events.created(sim, payout)


@route("GET", "/v1/payouts")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payouts, by status."""
    status = request.params.text("status")
    return lists.page(sim, request, "payout", where=lambda one: status in (None, one["status"]))


@route("GET", "/v1/payouts/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payouts/{id}."""
    return _need(sim, "payout", name)


@route("POST", "/v1/payouts/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payouts/{id}: metadata."""
    payout = _need(sim, "payout", name)
    with events.change(sim, payout, "payout.updated"):
        payout["metadata"] = request.params.metadata(payout["metadata"])
    return payout


@route("POST", "/v1/topups")
def top_up(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/topups: pending, as at Stripe until the bank has answered."""
    params, now = request.params, sim.clock.now()
    found = new(
        "topup",
        id=new_id("tu_"),
        amount=_amount(request),
        created=now,
        currency=params.need("currency").lower(),
        description=params.text("description"),
        expected_availability_date=now + 5 * periods.DAY,
        metadata=params.metadata(),
        status="pending",
    )
    return events.created(sim, found)


@route("GET", "/v1/topups/{id}")
def retrieve_top_up(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/topups/{id}."""
    return _need(sim, "topup", name)


def _amount(request: Request) -> int:
    amount = request.params.integer("amount") or 0
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount")
    return amount


def _need(sim: "Simulator", kind: str, name: str) -> Obj:
    found = sim.store.get(kind, name)
    if found is None:
        raise no_such(kind, name, param=kind)
    return found
