"""Invoice payments: which payment paid which invoice, and payments made elsewhere that are to count."""

from typing import TYPE_CHECKING

from simulator import lists
from simulator.billing_engine import attaching
from simulator.errors import no_such
from simulator.nouns import noun
from simulator.resources import invoices, payment_intents
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("invoice_payment", "inpay_", found_by=("invoice", "payment.payment_intent"))


@route("POST", "/v1/invoices/{id}/attach_payment")
def attach(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/invoices/{id}/attach_payment: a payment intent, paid or still to be paid."""
    intent = request.params.need("payment_intent")
    payment = payment_intents.need(sim, intent, param="payment_intent", status=400)
    invoice = invoices.need(sim, name)
    attaching.attach(sim, invoice, payment)
    return invoice


@route("GET", "/v1/invoice_payments")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/invoice_payments, by invoice or by `payment[type]=payment_intent&payment[payment_intent]=…`."""
    params = request.params
    among = None
    if "invoice" in params:
        among = sim.store.find("invoice_payment", "invoice", params.text("invoice"))
    elif "payment_intent" in params.inner("payment"):
        wanted = params.inner("payment").text("payment_intent")
        among = sim.store.find("invoice_payment", "payment.payment_intent", wanted)
    status = params.text("status")
    return lists.page(
        sim, request, "invoice_payment", among=among, where=lambda found: status in (None, found["status"])
    )


@route("GET", "/v1/invoice_payments/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/invoice_payments/{id}."""
    found = sim.store.get("invoice_payment", name)
    if found is None:
        raise no_such("invoice_payment", name)
    return found
