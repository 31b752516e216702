"""Subscriptions: create, change, cancel, list."""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, search
from simulator.billing_engine import (
    canceling,
    changing,
    discounts,
    items,
    periods,
    renewing,
    subscribing,
    taxing,
    updating,
)
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import customers, payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
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
    return subscribing.begin(sim, customer, _terms(sim, customer, params))


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
    settles it.
    """
    subscription, params = need(sim, name), request.params
    if subscription["status"] in _ENDED:
        raise no_such("subscription", name)
    given = params.inner("cancellation_details")
    details = {key: given.text(key) for key in ("comment", "feedback") if key in given}
    now = sim.clock.now(subscription)
    credits = changing.unused(sim, subscription, now) if params.flag("prorate") else []
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


def _terms(sim: "Simulator", customer: Obj, params: Params) -> subscribing.Terms:
    now = sim.clock.now(customer)
    anchor = params.integer("billing_cycle_anchor")
    if anchor is not None and anchor < now:
        raise invalid("The billing_cycle_anchor must be in the future.", param="billing_cycle_anchor")
    method = params.text("default_payment_method")
    if method is not None:
        method = payment_methods.need(sim, method, param="default_payment_method", status=400)["id"]
    return subscribing.Terms(
        wanted=items.read(sim, params),
        trial_end=trial_end(params, now),
        behavior=params.choice("payment_behavior", BEHAVIORS, "allow_incomplete"),
        off_session=params.flag("off_session"),
        default_payment_method=method,
        collection_method=params.choice(
            "collection_method", ("charge_automatically", "send_invoice"), "charge_automatically"
        ),
        days_until_due=params.integer("days_until_due"),
        metadata=params.metadata(),
        description=params.text("description"),
        discounts=discounts.asked_for(sim, params, customer=customer["id"]),
        anchor=anchor,
        prorates_stub=params.text("proration_behavior") != "none",
        cancel_at=params.integer("cancel_at"),
        cancel_at_period_end=params.flag("cancel_at_period_end"),
        missing_payment_method=missing_payment_method(params),
        billing_mode=params.inner("billing_mode").text("type") or "flexible",
        automatic_tax=params.inner("automatic_tax").flag("enabled"),
        default_tax_rates=taxing.asked_for(sim, params, "default_tax_rates"),
        currency=params.text("currency"),
        payment_settings=_payment_settings(params.inner("payment_settings")),
    )


def trial_end(params: Params, now: int) -> int | None:
    """When a new trial ends, from `trial_end` (or `now`) and `trial_period_days`."""
    if params.text("trial_end") == "now":
        return None
    given, days = params.integer("trial_end"), params.integer("trial_period_days")
    if given is not None and given <= now:
        raise invalid(
            "Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end"
        )
    if days is not None and not 1 <= days <= 730:
        raise invalid("This value must be between 1 and 730.", param="trial_period_days")
    return given if given is not None else (now + days * periods.DAY if days else None)


def missing_payment_method(params: Params) -> str:
    """What a trial without a card ends in."""
    behavior = params.inner("trial_settings").inner("end_behavior")
    return behavior.choice("missing_payment_method", ("cancel", "create_invoice", "pause"), "create_invoice")


def _payment_settings(params: Params) -> dict[str, Any] | None:
    if not params.values:
        return None
    return {
        "payment_method_options": None,
        "payment_method_types": params.list("payment_method_types") or None,
        "save_default_payment_method": params.text("save_default_payment_method") or "off",
    }
