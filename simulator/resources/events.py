"""Events: everything that happened, newest first."""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.errors import no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("event", "evt_")


@route("GET", "/v1/events")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/events, by `type`, `types[]`, `created`."""
    params = request.params
    kind, kinds = params.text("type"), params.list("types")

    def wanted(event: Obj) -> bool:
        if kinds and event["type"] not in kinds:
            return False
        if kind is None or kind == event["type"]:
            return True
        return kind.endswith("*") and event["type"].startswith(kind[:-1])

    return lists.page(sim, request, "event", where=wanted)


@route("GET", "/v1/events/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/events/{id}."""
    found = sim.store.get("event", name)
    if found is None:
        raise no_such("event", name)
    return found


@route("GET", "/v2/core/events/{id}")
def retrieve_thin(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v2/core/events/{id}: a thin event, with what its letter left out."""
    found = sim.store.get("v2.core.event", name)
    if found is None:
        raise no_such("event", name)
    return found
