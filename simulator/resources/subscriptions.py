"""Subscriptions: create, change, cancel, list."""

from typing import TYPE_CHECKING

from simulator import events, lists, search
from simulator.billing_engine import canceling, prorating, renewing, subscribing, terms, updating
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("subscription", "sub_", found_by=("customer",))

_ENDED = ("canceled", "incomplete_expired")


def need(sim: "Simulator", name: str | None, *, param: str = "id", status: int = 404) -> Obj:
    """The subscription with this id, or Stripe's refusal."""
    found = sim.store.get("subscription", name)
    if found is None:
        raise no_such("subscription", str(name), param=param, status=status)
    return found


@route("POST", "/v1/subscriptions")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/subscriptions."""
    params = request.params
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    return subscribing.begin(sim, customer, terms.read(sim, customer, params))


@route("GET", "/v1/subscriptions")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/subscriptions; without `status` all but the canceled, with `all` every one."""
    params = request.params
    status = params.text("status")
    among = None
    if "customer" in params:
        among = sim.store.find("subscription", "customer", params.text("customer"))
    elif "test_clock" in params:
        owners = sim.store.find("customer", "test_clock", params.text("test_clock"))
        among = [one for owner in owners for one in sim.store.find("subscription", "customer", owner["id"])]
    price, method = params.text("price"), params.text("collection_method")

    def wanted(subscription: Obj) -> bool:
        if status is None and subscription["status"] in ("canceled", "incomplete_expired"):
            return False
        if status == "ended" and subscription["status"] not in _ENDED:
            return False
        if status not in (None, "all", "ended") and subscription["status"] != status:
            return False
        if price and all(item["price"] != price for item in subscription["items"]["data"]):
            return False
        return method in (None, subscription["collection_method"])

    return lists.page(sim, request, "subscription", among=among, where=wanted)


@route("GET", "/v1/subscriptions/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/subscriptions/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("created", "status", "canceled_at", "customer")
    return search.page(sim, request, "subscription", fields)


@route("GET", "/v1/subscriptions/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/subscriptions/{id}."""
    return need(sim, name)


@route("POST", "/v1/subscriptions/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscriptions/{id}: items, trial, cancellation, card, metadata."""
    return updating.update(sim, need(sim, name), request.params)


@route("DELETE", "/v1/subscriptions/{id}")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/subscriptions/{id}: ends now; `prorate` credits what was not used, `invoice_now`
    settles it; with both false, prorations that wait for an invoice are removed.
    """
    subscription, params = need(sim, name), request.params
    if subscription["status"] in _ENDED:
        raise no_such("subscription", name)
    given = params.inner("cancellation_details")
    details = {key: given.text(key) for key in ("comment", "feedback") if key in given}
    now = sim.clock.now(subscription)
    credits = prorating.unused(sim, subscription, now) if params.flag("prorate") else []
    if not params.flag("prorate") and not params.flag("invoice_now", default=True):
        canceling.drop_prorations(sim, subscription)
    return canceling.end(
        sim,
        subscription,
        reason="cancellation_requested",
        details=details,
        invoice_now=params.flag("invoice_now", default=not credits),
        credits=credits,
    )


@route("POST", "/v1/subscriptions/{id}/resume")
def resume(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscriptions/{id}/resume: a paused one (trial over without a card) starts a period now."""
    subscription = need(sim, name)
    if subscription["status"] != "paused":
        raise invalid(
            "This subscription cannot be resumed: only a paused subscription can be.", param="subscription"
        )
    now = sim.clock.now(subscription)
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        item["current_period_end"] = now
    renewing.renew(sim, subscription, becomes="active")
    events.emit(sim, "customer.subscription.resumed", subscription)
    return subscription


@route("DELETE", "/v1/subscriptions/{id}/discount")
def delete_discount(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/subscriptions/{id}/discount."""
    subscription = need(sim, name)
    if not subscription["discounts"]:
        raise invalid("No active discount for subscription: " + name, code="resource_missing")
    discount = sim.store.get("discount", subscription["discounts"][-1]) or {}
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["discounts"] = []
    events.emit(sim, "customer.discount.deleted", discount)
    return {**discount, "deleted": True}
