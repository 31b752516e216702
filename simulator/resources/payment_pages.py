"""What the hosted checkout page asks Stripe behind the scenes; the Stripe CLI pays sessions this way."""

from typing import TYPE_CHECKING

from simulator.errors import invalid
from simulator.hosted import buying
from simulator.params import Params
from simulator.resources import checkout_sessions, customers, payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


@route("GET", "/v1/payment_pages/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_pages/{id}: the session. Undocumented at Stripe; observed from the CLI's fixtures."""
    return checkout_sessions.need(sim, name)


@route("POST", "/v1/payment_pages/{id}/confirm")
def confirm(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_pages/{id}/confirm with a payment method and the amount the payer saw."""
    session, params = checkout_sessions.need(sim, name), request.params
    if session["status"] != "open":
        raise invalid(f"This checkout session is {session['status']}.")
    seen = params.integer("expected_amount")
    if seen is not None and seen != session["amount_total"]:
        raise invalid("The amount has changed since the page was opened.", param="expected_amount")
    method = payment_methods.need(sim, params.need("payment_method"), status=400)
    if session["customer"]:
        customer = customers.need(sim, session["customer"], param="customer", status=400)
    else:
        details = method["billing_details"]
        facts = {key: details[key] for key in ("email", "name") if details[key]}
        customer = customers.make(sim, Params(facts))
    outcome = buying.proceed(sim, session, customer, method)
    if outcome.status == "declined":
        raise invalid(str(outcome.message), code=outcome.code)
    return session
