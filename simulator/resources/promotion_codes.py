"""Promotion codes: the word a customer types to get a coupon."""

from typing import TYPE_CHECKING

from simulator import events, lists
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import coupons
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("promotion_code", "promo_", found_by=("code", "promotion.coupon"))


@route("POST", "/v1/promotion_codes")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/promotion_codes: `promotion[type]=coupon`, `promotion[coupon]=…`."""
    params = request.params
    coupon = coupons.need(
        sim, params.inner("promotion").need("coupon"), param="promotion[coupon]", status=400
    )
    code = params.text("code") or new_id("", 8).upper()
    if any(
        other["active"] and other["code"].lower() == code.lower() for other in sim.store.all("promotion_code")
    ):
        raise invalid("An active promotion code with `code: " + code + "` already exists.", param="code")
    limits = params.inner("restrictions")
    found = new(
        "promotion_code",
        active=params.flag("active", True),
        code=code,
        created=sim.clock.now(),
        customer=params.text("customer"),
        expires_at=params.integer("expires_at"),
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
        promotion={"coupon": coupon["id"], "type": "coupon"},
        restrictions={
            "first_time_transaction": limits.flag("first_time_transaction"),
            "minimum_amount": limits.integer("minimum_amount"),
            "minimum_amount_currency": limits.text("minimum_amount_currency"),
        },
    )
    return events.created(sim, found)


@route("GET", "/v1/promotion_codes")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/promotion_codes, by code, coupon, active."""
    params = request.params
    code, coupon = params.text("code"), params.text("coupon")

    def wanted(found: Obj) -> bool:
        if "active" in params and found["active"] != params.flag("active"):
            return False
        if code is not None and found["code"].lower() != code.lower():
            return False
        return coupon in (None, found["promotion"]["coupon"])

    return lists.page(sim, request, "promotion_code", where=wanted)


@route("GET", "/v1/promotion_codes/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/promotion_codes/{id}."""
    return _need(sim, name)


@route("POST", "/v1/promotion_codes/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/promotion_codes/{id}: active, metadata."""
    found, params = _need(sim, name), request.params
    with events.change(sim, found, "promotion_code.updated"):
        if "active" in params:
            found["active"] = params.flag("active")
        found["metadata"] = params.metadata(found["metadata"])
    return found


def by_code(sim: "Simulator", code: str) -> Obj | None:
    """The active promotion code a customer typed, upper or lower case."""
    for found in sim.store.all("promotion_code"):
        if found["active"] and found["code"].lower() == code.strip().lower():
            return found
    return None


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get("promotion_code", name)
    if found is None:
        raise no_such("promotion_code", name)
    return found
