"""What pressing "Pay" on the checkout page sets in motion: the card is tried, then the subscription begins."""

from typing import TYPE_CHECKING

from simulator import cards, events
from simulator.billing_engine import discounts, intents, items, payments, periods, subscribing
from simulator.billing_engine.terms import Terms
from simulator.errors import invalid
from simulator.hosted.outcome import Outcome
from simulator.params import Params
from simulator.resources import invoiceitems, payment_methods, setup_intents
from simulator.routing import Request
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def proceed(sim: "Simulator", session: Obj, customer: Obj, method: Obj | None) -> Outcome:
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
        return subscribe(sim, session, customer, method)
    return _pay_once(sim, session, customer, method)


def subscribe(
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
        Terms(
            wanted=wanted,
            trial_end=trial_end,
            default_payment_method=method["id"] if method else None,
            metadata=dict(data["metadata"]),
            description=data["description"],
            discounts=found,
            missing_payment_method=data["missing_payment_method"],
            billing_mode=data["billing_mode"],
            automatic_tax=session["automatic_tax"]["enabled"],
            default_tax_rates=data["default_tax_rates"],
            currency=session["currency"],
            authenticated_intent=authenticated,
        ),
    )
    session["subscription"] = subscription["id"]
    session["invoice"] = subscription["latest_invoice"]
    first = sim.store.get("invoice", subscription["latest_invoice"])
    is_paid = first is not None and first["status"] == "paid"
    return complete(
        sim,
        session,
        payment_status="no_payment_required" if not due else "paid" if is_paid else "unpaid",
    )


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
    return complete(sim, session, payment_status="unpaid" if outcome.status == "processing" else "paid")


def _intent(sim: "Simulator", session: Obj, customer: Obj, description: str | None) -> Obj:
    """One intent for all tries of a session, as on Stripe's page."""
    kept = sim.store.get("payment_intent", session["_"].get("intent"))
    if kept is not None and kept["status"] != "succeeded" and kept["amount"] == session["amount_total"]:
        return kept
    payment = intents.make(
        sim,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=customer["id"],
        description=description,
        setup_future_usage="off_session" if session["mode"] == "subscription" else None,
        kinds=list(session["payment_method_types"]),
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
    return after_saving(sim, session, customer, method)


def after_saving(sim: "Simulator", session: Obj, customer: Obj, method: Obj | None) -> Outcome:
    if session["mode"] == "setup":
        return complete(sim, session, payment_status="no_payment_required")
    return subscribe(sim, session, customer, method)


def complete(sim: "Simulator", session: Obj, *, payment_status: str) -> Outcome:
    session |= {"status": "complete", "payment_status": payment_status, "url": None}
    sim.save(session)
    events.emit(sim, "checkout.session.completed", session)
    return Outcome("paid")


def _bought(sim: "Simulator", session: Obj) -> tuple[list[items.Wanted], list[Obj]]:
    wanted, extras = [], []
    for item in session["_"]["line_items"]:
        price = sim.store.get("price", item["price"])
        if price is not None and price["recurring"]:
            wanted.append(items.Wanted(price, item["quantity"], tax_rates=item["_"]["tax_rates"]))
        else:
            extras.append(item)
    return wanted, extras


def _extra(sim: "Simulator", customer: Obj, item: Obj) -> None:
    """A one-time price bought together with a subscription goes on its first invoice."""
    params = Params(
        {
            "customer": customer["id"],
            "pricing": {"price": item["price"]},
            "quantity": str(item["quantity"]),
            "currency": item["currency"],
            "tax_rates": [rate["id"] for rate in item["_"]["tax_rates"]],
        }
    )
    invoiceitems.create(sim, Request("POST", "/v1/invoiceitems", params))
