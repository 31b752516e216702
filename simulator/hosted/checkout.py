"""What a customer does on the checkout page: pay, be declined, prove who they are."""

from typing import TYPE_CHECKING, Any

from simulator.billing_engine import discounts, intents, till
from simulator.errors import StripeError, invalid
from simulator.hosted import buying, portal
from simulator.hosted.outcome import NotOpen, Outcome
from simulator.params import Params
from simulator.resources import (
    checkout_sessions,
    customers,
    payment_intents,
    payment_methods,
    promotion_codes,
    setup_intents,
)
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

__all__ = [
    "NotOpen",
    "Outcome",
    "apply_promotion_code",
    "finish_authentication",
    "pay",
    "remove_promotion_code",
    "saved_card",
    "session_of",
]


def pay(
    sim: "Simulator",
    session_id: str,
    *,
    card: dict[str, Any] | None = None,
    email: str | None = None,
    name: str | None = None,
    promotion_code: str | None = None,
) -> Outcome:
    """Presses the button. `card` is {number, exp_month, exp_year, cvc}; None pays with the customer's
    saved card.

    Nothing is kept of a declined try but the failed charge. Raises `NotOpen`, and `StripeError` for an
    unknown session
    or promotion code.
    """
    with sim.transaction():
        session = checkout_sessions.need(sim, session_id)
        if session["status"] != "open":
            raise NotOpen(f"This checkout session is {session['status']}.")
        if promotion_code:
            apply_promotion_code(sim, session_id, promotion_code)
        try:
            customer = _customer(sim, session, email=email, name=name)
            method = _method(sim, session, customer, card, email=email, name=name)
            return buying.proceed(sim, session, customer, method)
        except StripeError as refusal:
            if refusal.kind != "card_error":
                raise
            return Outcome.declined(refusal)


def apply_promotion_code(sim: "Simulator", session_id: str, code: str) -> Obj:
    """Takes a code the customer typed into the session's total; raises `StripeError` with words for
    the page.
    """
    with sim.transaction():
        session = checkout_sessions.need(sim, session_id)
        if not session["allow_promotion_codes"]:
            raise invalid("This checkout does not take promotion codes.", param="promotion_code")
        found = promotion_codes.by_code(sim, code)
        if found is None:
            raise invalid("This code is invalid.", param="promotion_code", code="promotion_code_invalid")
        discounts.check_code(sim, found, session["customer"])
        session["discounts"] = [{"coupon": None, "promotion_code": found["id"]}]
        till.total_up(sim, session)
        return sim.save(session)


def remove_promotion_code(sim: "Simulator", session_id: str) -> Obj:
    """Takes a typed code out of the total again; raises `StripeError` when the session does not take codes."""
    with sim.transaction():
        session = checkout_sessions.need(sim, session_id)
        if not session["allow_promotion_codes"] or session["status"] != "open":
            raise invalid("There is no promotion code to remove.", param="promotion_code")
        session["discounts"] = []
        till.total_up(sim, session)
        return sim.save(session)


def saved_card(sim: "Simulator", session_id: str) -> Obj | None:
    """The card the customer could pay with without typing one."""
    with sim.transaction():
        session = checkout_sessions.need(sim, session_id)
        return _saved(sim, session["customer"])


def finish_authentication(sim: "Simulator", intent_id: str, *, ok: bool) -> Outcome:
    """The customer answers their bank on the 3-D Secure page: for a checkout, an invoice, or an intent
    of its own.
    """
    with sim.transaction():
        if intent_id.startswith("seti_"):
            return _finish_setup(sim, setup_intents.need(sim, intent_id), ok=ok)
        payment = payment_intents.need(sim, intent_id)
        if payment["status"] != "requires_action":
            raise NotOpen("This payment is not waiting for the customer any more.")
        method = payment_methods.need(sim, payment["payment_method"])
        if not ok:
            return Outcome.declined(intents.authentication_failed(sim, payment))
        session = sim.store.get("checkout.session", payment["_"].get("checkout"))
        if session is not None and session["mode"] == "subscription":
            if session["status"] != "open":
                raise NotOpen(f"This checkout session is {session['status']}.")
            customer = customers.need(sim, session["customer"])
            return buying.subscribe(sim, session, customer, method, authenticated=payment["id"])
        outcome = payment_intents.proceed(sim, payment, method, off_session=False, authenticated=True)
        if outcome.error is not None:
            return Outcome.declined(outcome.error)
        if session is not None:
            buying.complete(sim, session, payment_status="paid")
        return Outcome("paid")


def session_of(sim: "Simulator", intent_id: str) -> Obj | None:
    """The checkout session behind an intent on the 3-D Secure page, to know where to go back to."""
    with sim.transaction():
        kind = "setup_intent" if intent_id.startswith("seti_") else "payment_intent"
        intent = sim.store.get(kind, intent_id) or {}
        return sim.store.get("checkout.session", (intent.get("_") or {}).get("checkout"))


def _customer(sim: "Simulator", session: Obj, *, email: str | None, name: str | None) -> Obj:
    if session["customer"] is not None:
        return customers.need(sim, session["customer"])
    kept = session["_"].get("customer")
    if kept is not None:
        return customers.need(sim, kept)
    facts = {
        key: value for key, value in (("email", email or session["customer_email"]), ("name", name)) if value
    }
    customer = customers.make(sim, Params(facts))
    session["_"]["customer"] = customer["id"]
    sim.save(session)
    return customer


def _method(
    sim: "Simulator",
    session: Obj,
    customer: Obj,
    given: dict[str, Any] | None,
    *,
    email: str | None,
    name: str | None,
) -> Obj | None:
    if given is None:
        saved = _saved(sim, customer["id"])
        if saved is None and _needs_card(session):
            raise invalid("Enter a card to pay with.", param="card")
        return saved
    billing = {"email": email or customer["email"], "name": name or customer["name"]}
    method = payment_methods.typed(sim, given, customer=customer, billing=billing)
    method["allow_redisplay"] = "limited"
    return sim.save(method)


def _finish_setup(sim: "Simulator", intent: Obj, *, ok: bool) -> Outcome:
    if intent["status"] != "requires_action":
        raise NotOpen("This card is not waiting for the customer any more.")
    method = payment_methods.need(sim, intent["payment_method"])
    if not ok:
        setup_intents.authentication_failed(sim, intent)
        return Outcome("declined", intents.AUTHENTICATION_FAILED, "setup_intent_authentication_failure")
    session = sim.store.get("checkout.session", intent["_"].get("checkout"))
    setup_intents.proceed(sim, intent, method, authenticated=True)
    if intent["_"].get("portal"):
        return portal.use_card(sim, customers.need(sim, intent["customer"]), method)
    if session is None or session["status"] != "open":
        return Outcome("paid")
    return buying.after_saving(sim, session, customers.need(sim, session["customer"]), method)


def _saved(sim: "Simulator", customer: str | None) -> Obj | None:
    found = sim.store.get("customer", customer)
    if found is None or found.get("deleted"):
        return None
    default = sim.store.get("payment_method", found["invoice_settings"]["default_payment_method"])
    if default is not None:
        return default
    saved = sim.store.find("payment_method", "customer", customer)
    return saved[-1] if saved else None


def _needs_card(session: Obj) -> bool:
    return bool(session["amount_total"]) or session["payment_method_collection"] != "if_required"
