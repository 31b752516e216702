"""Test clocks: customers who live in a time of their own (docs.stripe.com/billing/testing/test-clocks)."""

from typing import TYPE_CHECKING

from simulator import events, lists, view
from simulator.billing_engine import canceling, lines, periods
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("test_helpers.test_clock", "clock_")

_MOST_INTERVALS = 2
_KEPT_DAYS = 30


@route("POST", "/v1/test_helpers/test_clocks")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/test_helpers/test_clocks."""
    params = request.params
    frozen = params.integer("frozen_time")
    if frozen is None or frozen < 0:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp.", param="frozen_time")
    now = sim.clock.now()
    clock = new(
        "test_helpers.test_clock",
        created=now,
        deletes_after=now + _KEPT_DAYS * periods.DAY,
        frozen_time=frozen,
        name=params.text("name"),
        status="ready",
        status_details={},
    )
    return events.created(sim, clock)


@route("GET", "/v1/test_helpers/test_clocks")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/test_helpers/test_clocks."""
    return lists.page(sim, request, "test_helpers.test_clock")


@route("GET", "/v1/test_helpers/test_clocks/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/test_helpers/test_clocks/{id}."""
    return _need(sim, name)


@route("DELETE", "/v1/test_helpers/test_clocks/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/test_helpers/test_clocks/{id}: its customers go with it."""
    clock = _need(sim, name)
    for customer in sim.store.find("customer", "test_clock", name):
        for subscription in sim.store.find("subscription", "customer", customer["id"]):
            if subscription["status"] not in ("canceled", "incomplete_expired"):
                canceling.end(sim, subscription, reason="cancellation_requested", invoice_now=False)
        sim.save({"id": customer["id"], "object": "customer", "deleted": True})
    sim.store.remove("test_helpers.test_clock", name)
    events.emit(sim, "test_helpers.test_clock.deleted", clock)
    return {"id": name, "object": "test_helpers.test_clock", "deleted": True}


@route("POST", "/v1/test_helpers/test_clocks/{id}/advance")
def advance(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/test_helpers/test_clocks/{id}/advance: answers `advancing`; what falls due has been
    done when it is read again.
    """
    clock, params = _need(sim, name), request.params
    target = params.integer("frozen_time") or 0
    _check(sim, clock, target)
    before = clock["frozen_time"]
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": target}}
    sim.save(clock)
    events.emit(sim, "test_helpers.test_clock.advancing", clock)
    answer = view.snapshot(sim, clock)
    sim.agenda.run(name, target)
    clock |= {"frozen_time": target, "status": "ready", "status_details": {}}
    sim.save(clock)
    events.emit(sim, "test_helpers.test_clock.ready", clock, {"frozen_time": before, "status": "advancing"})
    return answer


def _check(sim: "Simulator", clock: Obj, target: int) -> None:
    now = clock["frozen_time"]
    if target <= now:
        raise invalid(
            "You can only advance a test clock to a time in the future: "
            f"frozen_time must be greater than the clock's current frozen time ({now}).",
            param="frozen_time",
        )
    shortest = None
    for customer in sim.store.find("customer", "test_clock", clock["id"]):
        for subscription in sim.store.find("subscription", "customer", customer["id"]):
            if subscription["status"] in ("canceled", "incomplete_expired"):
                continue
            for item in subscription["items"]["data"]:
                recurring = lines.price_of(sim, item)["recurring"]
                if shortest is None or periods.seconds(recurring) < periods.seconds(shortest):
                    shortest = recurring
    if shortest is None:
        limit = periods.after(now, "year", _MOST_INTERVALS)
    else:
        limit = periods.after(now, shortest["interval"], shortest["interval_count"] * _MOST_INTERVALS)
    if target > limit:
        raise invalid(
            "You can only advance a test clock by at most two intervals of its shortest subscription in one "
            f"step: to {limit} at most. Advance it in several steps.",
            param="frozen_time",
        )


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("test_helpers.test_clock", name)
    if found is None:
        raise no_such("test_helpers.test_clock", name, param="test_clock")
    return found
