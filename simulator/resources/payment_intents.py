"""Payment intents: one payment on its way, with every card it was tried with."""

from typing import TYPE_CHECKING

from simulator import agenda, cards, events, lists, search
from simulator.billing_engine import collection, debiting, intents, payments
from simulator.billing_engine.payments import Outcome
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers, payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("payment_intent", "pi_", found_by=("customer",))


def need(sim: "Simulator", name: str | None, *, param: str = "intent", status: int = 404) -> Obj:
    """The payment intent with this id, or Stripe's refusal."""
    found = sim.store.get("payment_intent", name)
    if found is None:
        raise no_such("payment_intent", str(name), param=param, status=status)
    return found


@route("POST", "/v1/payment_intents")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/payment_intents, confirmed at once when asked."""
    params = request.params
    amount = params.integer("amount") or 0
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if "customer" in params:
        customers.need(sim, params.need("customer"), param="customer", status=400)
    payment = intents.make(
        sim,
        amount=amount,
        currency=params.need("currency").lower(),
        customer=params.text("customer"),
        description=params.text("description"),
        metadata=params.metadata(),
        setup_future_usage=params.text("setup_future_usage"),
        receipt_email=params.text("receipt_email"),
        kinds=params.list("payment_method_types") or None,
    )
    payment["capture_method"] = params.choice(
        "capture_method", ("automatic", "automatic_async", "manual"), "automatic_async"
    )
    payment["_"]["return_url"] = params.text("return_url")
    if "payment_method" in params:
        payment["payment_method"] = payment_methods.need(sim, params.need("payment_method"), status=400)["id"]
        payment["status"] = "requires_confirmation"
        sim.save(payment)
    if params.flag("confirm"):
        _confirm(sim, payment, request)
    return payment


@route("GET", "/v1/payment_intents")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payment_intents, by customer."""
    customer = request.params.text("customer")
    among = sim.store.find("payment_intent", "customer", customer) if customer else None
    return lists.page(sim, request, "payment_intent", among=among)


@route("GET", "/v1/payment_intents/search")
def find(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/payment_intents/search: by metadata and the fields docs.stripe.com/search names."""
    fields = ("amount", "created", "currency", "customer", "status")
    return search.page(sim, request, "payment_intent", fields)


@route("GET", "/v1/payment_intents/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/payment_intents/{id}."""
    return need(sim, name)


@route("POST", "/v1/payment_intents/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_intents/{id} before it is paid."""
    payment, params = need(sim, name), request.params
    if payment["status"] in ("succeeded", "canceled") and set(params) - {"metadata", "description", "expand"}:
        raise invalid(
            f"This PaymentIntent could not be updated because it is {payment['status']}.",
            code="payment_intent_unexpected_state",
        )
    if "amount" in params:
        payment["amount"] = params.integer("amount")
    if "description" in params:
        payment["description"] = params.text("description")
    if "payment_method" in params:
        payment["payment_method"] = payment_methods.need(sim, params.need("payment_method"), status=400)["id"]
        payment["status"] = "requires_confirmation"
    payment["metadata"] = params.metadata(payment["metadata"])
    return sim.save(payment)


@route("POST", "/v1/payment_intents/{id}/confirm")
def confirm(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_intents/{id}/confirm."""
    payment = need(sim, name)
    _confirm(sim, payment, request)
    return payment


@route("POST", "/v1/payment_intents/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_intents/{id}/cancel."""
    payment = need(sim, name)
    if payment["status"] in ("succeeded", "canceled"):
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {payment['status']}.",
            code="payment_intent_unexpected_state",
        )
    intents.cancel(sim, payment, request.params.text("cancellation_reason"))
    return payment


@route("POST", "/v1/payment_intents/{id}/capture")
def capture(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/payment_intents/{id}/capture: takes what is held, all or less; the rest is let go."""
    payment = need(sim, name)
    charge = sim.store.get("charge", payment["latest_charge"])
    if payment["status"] != "requires_capture" or charge is None:
        raise invalid(
            "This PaymentIntent could not be captured because it has a status of "
            f"{payment['status']}. Only a PaymentIntent with one of the following statuses may be captured: "
            "requires_capture.",
            code="payment_intent_unexpected_state",
        )
    amount = request.params.integer("amount_to_capture", payment["amount"]) or 0
    if not 1 <= amount <= payment["amount_capturable"]:
        raise invalid(
            "The amount to capture must be at least 1 and at most what can be captured: "
            f"{payment['amount_capturable']}.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charge |= {"amount_captured": amount, "captured": True}
    if amount < charge["amount"]:
        charge |= {"amount_refunded": charge["amount"] - amount}
    payments.take(sim, payment, charge)
    events.emit(sim, "charge.captured", charge)
    events.emit(sim, "payment_intent.succeeded", payment)
    return payment


def proceed(
    sim: "Simulator", payment: Obj, method: Obj, *, off_session: bool, authenticated: bool = False
) -> Outcome:
    """Confirms an intent and carries the outcome to the invoice it pays."""
    invoice = sim.store.get("invoice", payment["_"]["invoice"])
    if invoice is not None and invoice["status"] == "open":
        return collection.attempt(
            sim, invoice, method=method, off_session=off_session, authenticated=authenticated
        )
    return payments.confirm(sim, payment, method, off_session=off_session, authenticated=authenticated)


def _confirm(sim: "Simulator", payment: Obj, request: Request) -> None:
    params = request.params
    if payment["status"] in ("succeeded", "canceled"):
        raise invalid(
            f"You cannot confirm this PaymentIntent because it has already {payment['status']}.",
            code="payment_intent_unexpected_state",
        )
    name = params.text("payment_method") or payment["payment_method"]
    if name is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. Update the "
            "PaymentIntent with a payment method and then confirm it again.",
            code="payment_intent_unexpected_state",
        )
    method = payment_methods.need(sim, name, status=400)
    if "return_url" in params:
        payment["_"]["return_url"] = params.text("return_url")
    if payment["customer"] and payment["setup_future_usage"] and method["customer"] is None:
        owner = customers.need(sim, payment["customer"], param="customer", status=400)
        card = cards.behind(method)
        if not card.declines or card.attaches:
            payment_methods.attach_to(sim, method, owner)
    outcome = proceed(
        sim, payment, method, off_session=params.text("off_session") in ("true", "one_off", "recurring")
    )
    if outcome.error is not None:
        raise outcome.error


agenda.duty("payment_intent", debiting.when, debiting.answer)
