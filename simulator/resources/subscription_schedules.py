"""Subscription schedules: create, from a subscription, update, release, cancel
(docs.stripe.com/api/subscription_schedules).
"""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.billing_engine import scheduling
from simulator.errors import no_such
from simulator.nouns import noun
from simulator.resources import customers, subscriptions
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("subscription_schedule", "sub_sched_", found_by=("customer",))

_KIND = "subscription_schedule"


@route("POST", "/v1/subscription_schedules")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/subscription_schedules: with `phases[]`, or around a running subscription."""
    params = request.params
    if "from_subscription" in params:
        running = subscriptions.need(
            sim, params.need("from_subscription"), param="from_subscription", status=400
        )
        return scheduling.adopt(sim, running, params)
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    return scheduling.begin(sim, customer, params)


@route("GET", "/v1/subscription_schedules")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/subscription_schedules, by customer, and `scheduled` ones that have not begun."""
    params = request.params
    among = sim.store.find(_KIND, "customer", params.text("customer")) if "customer" in params else None
    scheduled = params.flag("scheduled")
    return lists.page(
        sim, request, _KIND, among=among, where=lambda one: not scheduled or one["status"] == "not_started"
    )


@route("GET", "/v1/subscription_schedules/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/subscription_schedules/{id}."""
    return _need(sim, name)


@route("POST", "/v1/subscription_schedules/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscription_schedules/{id}: phases, what comes after the last, metadata."""
    return scheduling.rewrite(sim, _need(sim, name), request.params)


@route("POST", "/v1/subscription_schedules/{id}/release")
def release(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscription_schedules/{id}/release."""
    return scheduling.release(sim, _need(sim, name))


@route("POST", "/v1/subscription_schedules/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/subscription_schedules/{id}/cancel."""
    return scheduling.cancel(sim, _need(sim, name), invoice_now=request.params.flag("invoice_now", True))


def _need(sim: "Simulator", name: str) -> Obj:
    found = sim.store.get(_KIND, name)
    if found is None:
        raise no_such(_KIND, name, param="schedule")
    return found
