"""Setup intents: a card saved for later, proven with the bank if the bank wants it."""

from typing import TYPE_CHECKING

from simulator import cards, events, lists
from simulator.billing_engine import intents
from simulator.errors import card as card_error
from simulator.errors import invalid, no_such
from simulator.nouns import noun
from simulator.resources import customers, payment_methods
from simulator.routing import Request, route
from simulator.shapes import Obj, new, new_id

if TYPE_CHECKING:
    from simulator.core import Simulator

noun("setup_intent", "seti_", found_by=("customer",))


def need(sim: "Simulator", name: str | None) -> Obj:
    """The setup intent with this id, or Stripe's refusal."""
    found = sim.store.get("setup_intent", name)
    if found is None:
        raise no_such("setup_intent", str(name), param="intent")
    return found


def make(sim: "Simulator", customer: str | None, metadata: dict[str, str] | None = None) -> Obj:
    """A new setup intent without a card."""
    intent = new(
        "setup_intent",
        automatic_payment_methods={"allow_redirects": "always", "enabled": True},
        created=sim.clock.now(customer),
        customer=customer,
        metadata=metadata or {},
        payment_method_options={
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        payment_method_types=["card"],
        status="requires_payment_method",
        usage="off_session",
    )
    intent["client_secret"] = f"{intent['id']}_secret_{new_id('', 24)}"
    intent["_"] = {}
    return events.created(sim, intent)


def proceed(sim: "Simulator", intent: Obj, method: Obj, *, authenticated: bool = False) -> str:
    """Saves the card for the intent's customer: `succeeded`, or `requires_action`; raises 402 on a
    refusal.
    """
    card = cards.behind(method)
    intent["payment_method"] = method["id"]
    if card.declines and not card.attaches:
        refusal = cards.decline(card)
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        intent["last_setup_error"] = {
            "type": refusal.kind,
            "message": refusal.message,
            "code": refusal.facts.get("code"),
            "decline_code": refusal.facts.get("decline_code"),
        }
        sim.save(intent)
        events.emit(sim, "setup_intent.setup_failed", intent)
        raise refusal
    if card.authentication and card.number != "4000003800000446" and not authenticated:
        intent["status"] = "requires_action"
        url = f"{sim.base_url}/3ds/{intent['id']}"
        intent["next_action"] = {
            "redirect_to_url": {"return_url": None, "url": url},
            "type": "redirect_to_url",
        }
        sim.save(intent)
        events.emit(sim, "setup_intent.requires_action", intent)
        return "requires_action"
    if intent["customer"] and method["customer"] is None:
        owner = customers.need(sim, intent["customer"], param="customer", status=400)
        payment_methods.attach_to(sim, method, owner)
    method["_"]["is_set_up"] = True
    sim.save(method)
    intent |= {"status": "succeeded", "next_action": None, "last_setup_error": None}
    sim.save(intent)
    events.emit(sim, "setup_intent.succeeded", intent)
    return "succeeded"


def authentication_failed(sim: "Simulator", intent: Obj) -> None:
    """The customer failed or closed the 3-D Secure page."""
    error = card_error(intents.AUTHENTICATION_FAILED, "setup_intent_authentication_failure")
    intent |= {"status": "requires_payment_method", "next_action": None, "payment_method": None}
    intent["last_setup_error"] = {"type": error.kind, "message": error.message, "code": error.facts["code"]}
    sim.save(intent)
    events.emit(sim, "setup_intent.setup_failed", intent)


@route("POST", "/v1/setup_intents")
def create(sim: "Simulator", request: Request) -> Obj:
    """POST /v1/setup_intents, confirmed at once when asked."""
    params = request.params
    if "customer" in params:
        customers.need(sim, params.need("customer"), param="customer", status=400)
    intent = make(sim, params.text("customer"), params.metadata())
    intent["usage"] = params.text("usage") or "off_session"
    intent["description"] = params.text("description")
    if "payment_method" in params:
        method = payment_methods.need(sim, params.need("payment_method"), status=400)
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    sim.save(intent)
    if params.flag("confirm"):
        _confirm(sim, intent, request)
    return intent


@route("GET", "/v1/setup_intents")
def index(sim: "Simulator", request: Request) -> Obj:
    """GET /v1/setup_intents, by customer or payment method."""
    customer, method = request.params.text("customer"), request.params.text("payment_method")
    among = sim.store.find("setup_intent", "customer", customer) if customer else None
    return lists.page(
        sim, request, "setup_intent", among=among, where=lambda one: method in (None, one["payment_method"])
    )


@route("GET", "/v1/setup_intents/{id}")
def retrieve(sim: "Simulator", request: Request, name: str) -> Obj:
    """GET /v1/setup_intents/{id}."""
    return need(sim, name)


@route("POST", "/v1/setup_intents/{id}")
def update(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/setup_intents/{id} while it is not finished: customer, card, description, metadata."""
    intent, params = need(sim, name), request.params
    if intent["status"] in ("succeeded", "canceled") and set(params) - {"metadata", "description", "expand"}:
        raise invalid(
            f"This SetupIntent could not be updated because it is {intent['status']}.",
            code="setup_intent_unexpected_state",
        )
    if "customer" in params:
        owner = customers.need(sim, params.need("customer"), param="customer", status=400)
        if intent["customer"] not in (None, owner["id"]):
            raise invalid("A SetupIntent's customer cannot be changed once set.", param="customer")
        intent["customer"] = owner["id"]
    if "description" in params:
        intent["description"] = params.text("description")
    if "payment_method" in params:
        method = payment_methods.need(sim, params.need("payment_method"), status=400)
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    intent["metadata"] = params.metadata(intent["metadata"])
    return sim.save(intent)


@route("POST", "/v1/setup_intents/{id}/confirm")
def confirm(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/setup_intents/{id}/confirm."""
    intent = need(sim, name)
    _confirm(sim, intent, request)
    return intent


@route("POST", "/v1/setup_intents/{id}/cancel")
def cancel(sim: "Simulator", request: Request, name: str) -> Obj:
    """POST /v1/setup_intents/{id}/cancel."""
    intent = need(sim, name)
    if intent["status"] in ("succeeded", "canceled"):
        raise invalid(
            f"You cannot cancel this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
        )
    intent |= {"status": "canceled", "cancellation_reason": request.params.text("cancellation_reason")}
    sim.save(intent)
    events.emit(sim, "setup_intent.canceled", intent)
    return intent


def _confirm(sim: "Simulator", intent: Obj, request: Request) -> None:
    name = request.params.text("payment_method") or intent["payment_method"]
    if name is None or intent["status"] in ("succeeded", "canceled"):
        raise invalid(
            "You cannot confirm this SetupIntent: it needs a payment method and must not be finished.",
            code="setup_intent_unexpected_state",
        )
    proceed(sim, intent, payment_methods.need(sim, name, status=400))
