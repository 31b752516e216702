"""Words of older API versions that official tools still send: translated for callers that name no version."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import discounts
from simulator.resources import coupons
from simulator.routing import Request
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def modernise(sim: "Simulator", request: Request) -> str | None:
    """Rewrites what a current caller would say otherwise; returns a coupon to be put on the customer after,
    empty when the customer's discount is to end.

    Until basil (2025-03-31) customers took `coupon`, until clover (2025-09-30) promotion codes did, and
    phases of schedules had `iterations` (docs.stripe.com/changelog). The Stripe CLI's fixtures still do, and
    send no `Stripe-Version`.
    """
    values = request.params.values
    if request.method != "POST" or "stripe-version" in request.headers:
        return None
    if request.path.startswith("/v1/subscription_schedules"):
        _durations(sim, request)
    if "coupon" not in values:
        return None
    if request.path == "/v1/promotion_codes":
        values["promotion"] = {"type": "coupon", "coupon": values.pop("coupon")}
    elif request.path.startswith("/v1/customers") and request.path.count("/") <= 3:
        return str(values.pop("coupon"))
    return None


def put_on(sim: "Simulator", customer: Obj, coupon: str) -> Obj:
    """The customer with this coupon as their discount; an earlier one makes it an update, none ends it."""
    before = sim.store.get("discount", customer["discount"])
    if not coupon:
        if before is not None:
            customer["discount"] = None
            events.emit(sim, "customer.discount.deleted", before)
        return sim.save(customer)
    coupons.need(sim, coupon, param="coupon", status=400)
    if before is not None:
        with events.change(sim, before, "customer.discount.updated", always=True):
            before["source"] = {"coupon": coupon, "type": "coupon"}
        return customer
    discount = discounts.redeem(sim, coupon=coupon, promotion_code=None, customer=customer["id"])
    customer["discount"] = discount["id"]
    return sim.save(customer)


def _durations(sim: "Simulator", request: Request) -> None:
    """`iterations` of a phase: that many periods of its first price."""
    for phase in request.params.each("phases"):
        if "iterations" not in phase:
            continue
        times = phase.integer("iterations") or 1
        first = next(iter(phase.each("items")), None)
        price = sim.store.get("price", first.text("price")) if first else None
        rhythm = (price or {}).get("recurring")
        if rhythm:
            del phase.values["iterations"]
            phase.values["duration"] = {
                "interval": rhythm["interval"],
                "interval_count": str(rhythm["interval_count"] * times),
            }
