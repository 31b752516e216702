"""Customers: whom Stripe bills."""

from typing import TYPE_CHECKING, Any

from simulator import events, lists, search, view
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.params import Params
from simulator.resources import payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj, empty_list, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("customer", "cus_", found_by=("email", "test_clock"))

_TEXTS = ("business_name", "description", "email", "individual_name", "name", "phone", "tax_exempt")


def need(sim: "Simulator", name: str | None, *, param: str = "id", status: int = 404) -> Obj:
    """A customer that is not deleted, or Stripe's refusal."""
    found = sim.store.get("customer", name)
    if found is None or found.get("deleted"):
        raise no_such("customer", str(name), param=param, status=status)
    return found


@route("POST", "/v1/customers")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/customers, on a test clock if one is named."""
    return make(sim, request.params)


def make(sim: "Simulator", params: Params) -> Obj:
    """A new customer from parameters; also what Checkout does for a newcomer."""
    clock = params.text("test_clock")
    if clock is not None and sim.store.get("test_helpers.test_clock", clock) is None:
        raise no_such("test_helpers.test_clock", clock, param="test_clock", status=400)
    customer = new(
        "customer",
        id=new_id("cus_", 14),
        address=None,
        balance=0,
        created=sim.clock.on(clock or ""),
        currency=None,
        delinquent=False,
        invoice_prefix=new_id("", 8).upper(),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        metadata=params.metadata(),
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
        test_clock=clock,
    )
    _fill(sim, customer, params)
    method = None
    if "payment_method" in params:
        method = payment_methods.need(sim, params.need("payment_method"), status=400)
    sim.save(customer)
    if method is not None:
        try:
            payment_methods.attach_to(sim, method, customer)
        except Exception:
            sim.store.remove("customer", customer["id"])
            raise
    events.emit(sim, "customer.created", customer)
    _set_balance(sim, customer, params)
    return customer


@route("GET", "/v1/customers")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/customers, by `email`, `created`, `test_clock`."""
    params = request.params
    among = None
    if "test_clock" in params:
        among = sim.store.find("customer", "test_clock", params.text("test_clock"))
    elif "email" in params:
        among = sim.store.find("customer", "email", params.text("email"))
    email = params.text("email")
    return lists.page(sim, request, "customer", among=among, where=lambda one: email in (None, one["email"]))


@route("GET", "/v1/customers/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/customers/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("created", "email", "name", "phone")
    return search.page(sim, request, "customer", fields)


@route("GET", "/v1/customers/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}; a deleted one says only that."""
    found = sim.store.get("customer", name)
    if found is None:
        raise no_such("customer", name)
    return found


@route("POST", "/v1/customers/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/customers/{id}."""
    customer, params = need(sim, name), request.params
    with events.change(sim, customer, "customer.updated"):
        _fill(sim, customer, params)
        customer["metadata"] = params.metadata(customer["metadata"])
    _set_balance(sim, customer, params)
    return customer


@route("DELETE", "/v1/customers/{id}")
def delete(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/customers/{id}: subscriptions end at once, the rest of the record goes."""
    from simulator.billing_engine import canceling

    customer = need(sim, name)
    for subscription in sim.store.find("subscription", "customer", name):
        if subscription["status"] not in ("canceled", "incomplete_expired"):
            canceling.end(sim, subscription, reason="cancellation_requested")
    events.emit(sim, "customer.deleted", customer)
    gone = {"id": name, "object": "customer", "deleted": True}
    sim.save(gone)
    return gone


@route("DELETE", "/v1/customers/{id}/discount")
def delete_discount(sim: "Simulator", request: Request, name: str) -> Obj:
    """DELETE /v1/customers/{id}/discount."""
    customer = need(sim, name)
    discount = sim.store.get("discount", customer["discount"])
    if discount is None:
        raise invalid("No active discount for customer: " + name, code="resource_missing")
    customer["discount"] = None
    sim.save(customer)
    events.emit(sim, "customer.discount.deleted", discount)
    return {**discount, "deleted": True}


@route("GET", "/v1/customers/{id}/payment_methods")
def list_payment_methods(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/payment_methods."""
    need(sim, name)
    return payment_methods.listed(sim, request, name)


@route("GET", "/v1/customers/{id}/payment_methods/{method}")
def retrieve_payment_method(sim: "Simulator", request: Request, name: str, method: str) -> Obj:
    """GET /v1/customers/{id}/payment_methods/{method}."""
    found = payment_methods.need(sim, method)
    if found["customer"] != need(sim, name)["id"]:
        raise no_such("payment_method", method)
    return found


@route("GET", "/v1/customers/{id}/sources")
def nothing(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/customers/{id}/sources: a legacy list, always empty here."""
    need(sim, name)
    return empty_list(request.path)


@view.grows("customer", "subscriptions")
def _grow_subscriptions(sim: "Simulator", customer: Obj) -> Any:
    live = [
        subscription
        for subscription in reversed(sim.store.find("subscription", "customer", customer["id"]))
        if subscription["status"] not in ("canceled", "incomplete_expired")
    ]
    return lists.of(live, f"/v1/customers/{customer['id']}/subscriptions")


@view.grows("customer", "sources")
def _grow_sources(sim: "Simulator", customer: Obj) -> Any:
    return empty_list(f"/v1/customers/{customer['id']}/sources")


@view.grows("customer", "tax")
def _grow_tax(sim: "Simulator", customer: Obj) -> Any:
    return {"automatic_tax": "not_collecting", "ip_address": None, "location": None, "provider": "stripe"}


def _set_balance(sim: "Simulator", customer: Obj, params: Params) -> None:
    wanted = params.integer("balance")
    if wanted is not None and wanted != customer["balance"]:
        from simulator.billing_engine import balance

        kind = "initial" if not customer["balance"] else "adjustment"
        balance.move(sim, customer, wanted - customer["balance"], kind)


def _fill(sim: "Simulator", customer: Obj, params: Params) -> None:
    for key in _TEXTS:
        if key in params:
            customer[key] = params.text(key)
    for key in ("address", "shipping"):
        if key in params:
            customer[key] = _address(params.inner(key)) if params.inner(key).values else None
    if "preferred_locales" in params:
        customer["preferred_locales"] = params.list("preferred_locales")
    settings = params.inner("invoice_settings")
    if "default_payment_method" in settings:
        wanted = settings.text("default_payment_method")
        if wanted is not None:
            method = payment_methods.need(
                sim, wanted, param="invoice_settings[default_payment_method]", status=400
            )
            if method["customer"] != customer["id"] and params.text("payment_method") != wanted:
                raise invalid(
                    "The customer does not have a payment method with the ID "
                    f"{wanted}. The payment method must be attached to the customer.",
                    param="invoice_settings[default_payment_method]",
                    code="resource_missing",
                )
            wanted = method["id"]
        customer["invoice_settings"]["default_payment_method"] = wanted
    if "footer" in settings:
        customer["invoice_settings"]["footer"] = settings.text("footer")


def _address(params: Params) -> Obj:
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    if "address" in params:
        inner = params.inner("address")
        return {
            "address": {part: inner.text(part) for part in parts},
            "carrier": None,
            "name": params.text("name"),
            "phone": params.text("phone"),
            "tracking_number": None,
        }
    return {part: params.text(part) for part in parts}
