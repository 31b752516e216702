"""What a customer does on the checkout page: pay, be declined, prove who they are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator import cards, events
from simulator.billing_engine import discounts, items, payments, periods, subscribing
from simulator.errors import StripeError, invalid
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


@dataclass(frozen=True)
class Outcome:
    """`paid`, `declined` (with what to tell the customer) or `requires_action` (with the intent to
    authenticate).
    """

    status: str
    message: str | None = None
    code: str | None = None
    decline_code: str | None = None
    intent: str | None = None

    @classmethod
    def declined(cls, error: StripeError) -> "Outcome":
        """The refusal as the page shows it."""
        return cls("declined", error.message, error.facts.get("code"), error.facts.get("decline_code"))


class NotOpen(ValueError):
    """The session has been completed or has expired: nothing more can be paid in it."""


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
            return _proceed(sim, session, customer, method)
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
        checkout_sessions.total_up(sim, session)
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
            return Outcome.declined(payments.authentication_failed(sim, payment))
        session = sim.store.get("checkout.session", payment["_"].get("checkout"))
        if session is not None and session["mode"] == "subscription":
            if session["status"] != "open":
                raise NotOpen(f"This checkout session is {session['status']}.")
            customer = customers.need(sim, session["customer"])
            return _subscribe(sim, session, customer, method, authenticated=payment["id"])
        outcome = payment_intents.proceed(sim, payment, method, off_session=False, authenticated=True)
        if outcome.error is not None:
            return Outcome.declined(outcome.error)
        if session is not None:
            _complete(sim, session, payment_status="paid")
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
    found = cards.by_number(str(given["number"]))
    month, year = int(given["exp_month"]), int(given["exp_year"])
    payment_methods.check_expiry(sim, month, year)
    method = payment_methods.make(
        sim,
        found,
        exp_month=month,
        exp_year=year if year > 99 else 2000 + year,
        billing={"email": email or customer["email"], "name": name or customer["name"]},
        now=sim.clock.now(customer),
    )
    method["allow_redisplay"] = "limited"
    return sim.save(method)


def _proceed(sim: "Simulator", session: Obj, customer: Obj, method: Obj | None) -> Outcome:
    session["customer"] = session["_"]["payer"] = customer["id"]
    session["customer_details"] = (session["customer_details"] or {}) | {
        "address": None,
        "business_name": None,
        "email": customer["email"],
        "individual_name": None,
        "name": customer["name"],
        "phone": customer["phone"],
        "tax_exempt": customer["tax_exempt"],
        "tax_ids": [],
    }
    sim.save(session)
    if session["mode"] == "setup" or (session["mode"] == "subscription" and not session["amount_total"]):
        return _save_card(sim, session, customer, method)
    if method is None:
        raise invalid("Enter a card to pay with.", param="card")
    if session["mode"] == "subscription":
        return _subscribe(sim, session, customer, method)
    return _pay_once(sim, session, customer, method)


def _subscribe(
    sim: "Simulator", session: Obj, customer: Obj, method: Obj | None, *, authenticated: str | None = None
) -> Outcome:
    card = cards.behind(method) if method else None
    due = session["amount_total"] or 0
    if card is not None and method is not None and due:
        refusal_first = card.declines and not (card.authentication and authenticated is None)
        asks = authenticated is None and payments.needs_authentication(card, method, off_session=False)
        if asks or refusal_first:
            return _try_first(sim, session, customer, method)
        if card.declines:
            raise cards.decline(card)
    if method is not None and method["customer"] is None:
        payment_methods.attach_to(sim, method, customer)
    data = session["_"]["subscription_data"]
    now = sim.clock.now(customer)
    trial_end = data["trial_end"] or (now + data["trial_days"] * periods.DAY if data["trial_days"] else None)
    wanted, extras = _bought(sim, session)
    for item in extras:
        _extra(sim, customer, item)
    found = [
        discounts.redeem(
            sim,
            coupon=each["coupon"],
            promotion_code=each["promotion_code"],
            customer=customer["id"],
            checkout_session=session["id"],
        )["id"]
        for each in session["discounts"] or []
    ]
    subscription = subscribing.begin(
        sim,
        customer,
        subscribing.Terms(
            wanted=wanted,
            trial_end=trial_end,
            default_payment_method=method["id"] if method else None,
            metadata=dict(data["metadata"]),
            description=data["description"],
            discounts=found,
            missing_payment_method=data["missing_payment_method"],
            billing_mode=data["billing_mode"],
            automatic_tax=session["automatic_tax"]["enabled"],
            authenticated_intent=authenticated,
        ),
    )
    session["subscription"] = subscription["id"]
    session["invoice"] = subscription["latest_invoice"]
    return _complete(sim, session, payment_status="paid" if due else "no_payment_required")


def _try_first(sim: "Simulator", session: Obj, customer: Obj, method: Obj) -> Outcome:
    """A card that will refuse, or that wants to see its owner: an intent is tried before any
    subscription exists.
    """
    payment = _intent(sim, session, customer, "Subscription creation")
    outcome = payments.confirm(sim, payment, method, off_session=False)
    if outcome.error is not None:
        return Outcome.declined(outcome.error)
    return Outcome("requires_action", intent=payment["id"])


def _pay_once(sim: "Simulator", session: Obj, customer: Obj, method: Obj) -> Outcome:
    data = session["_"]["payment_intent_data"]
    payment = _intent(sim, session, customer, data.get("description"))
    payment["metadata"] = dict(data.get("metadata") or {})
    payment["setup_future_usage"] = data.get("setup_future_usage")
    session["payment_intent"] = payment["id"]
    sim.save(payment)
    sim.save(session)
    if payment["setup_future_usage"] and method["customer"] is None:
        payment_methods.attach_to(sim, method, customer)
    outcome = payments.confirm(sim, payment, method, off_session=False)
    if outcome.error is not None:
        return Outcome.declined(outcome.error)
    if outcome.status == "requires_action":
        return Outcome("requires_action", intent=payment["id"])
    return _complete(sim, session, payment_status="paid")


def _intent(sim: "Simulator", session: Obj, customer: Obj, description: str | None) -> Obj:
    """One intent for all tries of a session, as on Stripe's page."""
    kept = sim.store.get("payment_intent", session["_"].get("intent"))
    if kept is not None and kept["status"] != "succeeded" and kept["amount"] == session["amount_total"]:
        return kept
    payment = payments.intent(
        sim,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer["id"],
        description=description,
        setup_future_usage="off_session" if session["mode"] == "subscription" else None,
    )
    payment["_"]["checkout"] = session["id"]
    session["_"]["intent"] = payment["id"]
    sim.save(session)
    return sim.save(payment)


def _save_card(sim: "Simulator", session: Obj, customer: Obj, method: Obj | None) -> Outcome:
    """Nothing is due today: the card, if one is given, is saved for later."""
    if method is not None and method["customer"] is None:
        intent = setup_intents.make(sim, customer["id"])
        intent["_"]["checkout"] = session["id"]
        sim.save(intent)
        if session["mode"] == "setup":
            session["setup_intent"] = intent["id"]
        if setup_intents.proceed(sim, intent, method) == "requires_action":
            return Outcome("requires_action", intent=intent["id"])
    return _after_saving(sim, session, customer, method)


def _finish_setup(sim: "Simulator", intent: Obj, *, ok: bool) -> Outcome:
    if intent["status"] != "requires_action":
        raise NotOpen("This card is not waiting for the customer any more.")
    method = payment_methods.need(sim, intent["payment_method"])
    if not ok:
        setup_intents.authentication_failed(sim, intent)
        return Outcome("declined", payments.AUTHENTICATION_FAILED, "setup_intent_authentication_failure")
    session = sim.store.get("checkout.session", intent["_"].get("checkout"))
    setup_intents.proceed(sim, intent, method, authenticated=True)
    if session is None or session["status"] != "open":
        return Outcome("paid")
    return _after_saving(sim, session, customers.need(sim, session["customer"]), method)


def _after_saving(sim: "Simulator", session: Obj, customer: Obj, method: Obj | None) -> Outcome:
    if session["mode"] == "setup":
        return _complete(sim, session, payment_status="no_payment_required")
    return _subscribe(sim, session, customer, method)


def _complete(sim: "Simulator", session: Obj, *, payment_status: str) -> Outcome:
    session |= {"status": "complete", "payment_status": payment_status, "url": None}
    sim.save(session)
    events.emit(sim, "checkout.session.completed", session)
    return Outcome("paid")


def _bought(sim: "Simulator", session: Obj) -> tuple[list[items.Wanted], list[Obj]]:
    wanted, extras = [], []
    for item in session["_"]["line_items"]:
        price = sim.store.get("price", item["price"])
        if price is not None and price["recurring"]:
            wanted.append(items.Wanted(price, item["quantity"]))
        else:
            extras.append(item)
    return wanted, extras


def _extra(sim: "Simulator", customer: Obj, item: Obj) -> None:
    """A one-time price bought together with a subscription goes on its first invoice."""
    from simulator.resources import invoiceitems
    from simulator.routing import Request

    params = Params(
        {
            "customer": customer["id"],
            "pricing": {"price": item["price"]},
            "quantity": str(item["quantity"]),
        }
    )
    invoiceitems.create(sim, Request("POST", "/v1/invoiceitems", params))


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
