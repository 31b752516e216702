"""Plans: what prices were called before 2020. A plan made here is a price with the same id, seen the old way."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import no_such
from simulator.params import Params
from simulator.resources import prices, products
from simulator.routing import Request, route
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("POST", "/v1/plans")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/plans, with a product's id or with `product[name]`; the price of the same id is usable too."""
    params = request.params
    given = params.values.get("product")
    if isinstance(given, dict):
        data = params.inner("product")
        product = products.make(sim, data, name=data.need("name"))
    else:
        product = products.need(sim, params.need("product"), param="product", status=400)
    recurring = {"interval": params.need("interval")}
    if "interval_count" in params:
        recurring["interval_count"] = params.need("interval_count")
    facts = {
        "currency": params.need("currency"),
        "unit_amount": params.need("amount"),
        "recurring": recurring,
    }
    price = prices.make(sim, Params(facts), product=product["id"])
    plan = new(
        "plan",
        id=price["id"],
        active=params.flag("active", True),
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        created=price["created"],
        currency=price["currency"],
        interval=price["recurring"]["interval"],
        interval_count=price["recurring"]["interval_count"],
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        product=product["id"],
        trial_period_days=params.integer("trial_period_days"),
    )
    return events.created(sim, plan)


@route("GET", "/v1/plans")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/plans, by product."""
    product = request.params.text("product")
    return lists.page(sim, request, "plan", where=lambda plan: product in (None, plan["product"]))


@route("GET", "/v1/plans/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/plans/{id}."""
    return _need(sim, name)


@route("POST", "/v1/plans/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/plans/{id}: nickname, active, metadata."""
    plan, params = _need(sim, name), request.params
    with events.change(sim, plan, "plan.updated"):
        if "nickname" in params:
            plan["nickname"] = params.text("nickname")
        if "active" in params:
            plan["active"] = params.flag("active")
        plan["metadata"] = params.metadata(plan["metadata"])
    return plan


@route("DELETE", "/v1/plans/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/plans/{id}: nobody new can have it; the price behind it is put away."""
    plan = _need(sim, name)
    price = sim.store.get("price", name)
    if price is not None:
        price["active"] = False
        sim.save(price)
    sim.store.remove("plan", name)
    events.emit(sim, "plan.deleted", plan)
    return {"id": name, "object": "plan", "deleted": True}


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("plan", name)
    if found is None:
        raise no_such("plan", name, param="plan")
    return found
