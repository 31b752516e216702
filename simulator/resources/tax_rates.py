"""Tax rates: a percentage with a name, put on invoices by hand (docs.stripe.com/api/tax_rates)."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("tax_rate", "txr_")

_TEXTS = ("country", "description", "display_name", "jurisdiction", "state", "tax_type")


@route("POST", "/v1/tax_rates")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/tax_rates; what it takes never changes afterwards."""
    params = request.params
    percentage = params.decimal("percentage")
    if percentage is None or not 0 <= percentage <= 100:
        raise invalid("Invalid percentage: must be between 0 and 100.", param="percentage")
    rate = new(
        "tax_rate",
        active=params.flag("active", True),
        created=sim.clock.now(),
        effective_percentage=float(percentage),
        inclusive=params.flag("inclusive"),
        metadata=params.metadata(),
        percentage=float(percentage),
        rate_type="percentage",
    )
    _fill(rate, params)
    return events.created(sim, rate)


@route("GET", "/v1/tax_rates")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/tax_rates, by `active` and `inclusive`."""
    params = request.params

    def wanted(rate: Obj) -> bool:
        return all(rate[key] == params.flag(key) for key in ("active", "inclusive") if key in params)

    return lists.page(sim, request, "tax_rate", where=wanted)


@route("GET", "/v1/tax_rates/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/tax_rates/{id}."""
    return _need(sim, name)


@route("POST", "/v1/tax_rates/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/tax_rates/{id}: names, whether it is offered, metadata."""
    rate, params = _need(sim, name), request.params
    with events.change(sim, rate, "tax_rate.updated"):
        _fill(rate, params)
        if "active" in params:
            rate["active"] = params.flag("active")
        rate["metadata"] = params.metadata(rate["metadata"])
    return rate


def _fill(rate: Obj, params: Params) -> None:
    for key in _TEXTS:
        if key in params:
            rate[key] = params.text(key)


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("tax_rate", name)
    if found is None:
        raise no_such("tax_rate", name)
    return found
