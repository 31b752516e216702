"""Coupons: so much off, for so long."""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, view
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("coupon", "")
noun("discount", "di_", found_by=("customer", "subscription"))


def need(sim: "Simulator", name: str | None, *, param: str = "coupon", status: int = 404) -> Obj:
    """The coupon with this id, or Stripe's refusal."""
    found = sim.store.get("coupon", name)
    if found is None:
        raise no_such("coupon", str(name), param=param, status=status)
    return found


@route("POST", "/v1/coupons")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/coupons: `percent_off`, or `amount_off` with `currency`."""
    params = request.params
    percent, amount = params.decimal("percent_off"), params.integer("amount_off")
    if (percent is None) == (amount is None):
        raise invalid("You must pass either percent_off or amount_off.", param="percent_off")
    if percent is not None and not 0 < percent <= 100:
        raise invalid("Invalid percent_off: must be greater than 0 and at most 100.", param="percent_off")
    if amount is not None and "currency" not in params:
        raise invalid("You must pass currency when passing amount_off.", param="currency")
    duration = params.choice("duration", ("once", "repeating", "forever"), "once")
    months = params.integer("duration_in_months")
    if duration == "repeating" and not months:
        raise invalid("You must pass duration_in_months with a repeating coupon.", param="duration_in_months")
    name = params.text("id") or new_id("", 8)
    if sim.store.get("coupon", name) is not None:
        raise invalid(f"Coupon already exists: {name}.", param="id", code="resource_already_exists")
    coupon = new(
        "coupon",
        id=name,
        amount_off=amount,
        created=sim.clock.now(),
        currency=params.text("currency"),
        duration=duration,
        duration_in_months=months,
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
        name=params.text("name"),
        percent_off=float(percent) if percent is not None else None,
        redeem_by=params.integer("redeem_by"),
        valid=True,
    )
    coupon["_"] = {"products": params.inner("applies_to").list("products") or None}
    return events.created(sim, coupon)


@route("GET", "/v1/coupons")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/coupons."""
    return lists.page(sim, request, "coupon")


@route("GET", "/v1/coupons/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/coupons/{id}."""
    return need(sim, name)


@route("POST", "/v1/coupons/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/coupons/{id}: name and metadata."""
    coupon, params = need(sim, name), request.params
    with events.change(sim, coupon, "coupon.updated"):
        if "name" in params:
            coupon["name"] = params.text("name")
        coupon["metadata"] = params.metadata(coupon["metadata"])
    return coupon


@route("DELETE", "/v1/coupons/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/coupons/{id}: those who have it keep it."""
    coupon = need(sim, name)
    coupon["valid"] = False
    sim.store.remove("coupon", name)
    events.emit(sim, "coupon.deleted", coupon)
    return {"id": name, "object": "coupon", "deleted": True}


@view.grows("coupon", "applies_to")
def _grow_products(sim: "Simulator", coupon: Obj) -> Any:
    return {"products": (coupon.get("_") or {}).get("products") or []}
