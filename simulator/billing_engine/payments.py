"""Money moves here: a payment intent is confirmed with a card, and a charge says how that went."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator import cards, events, view
from simulator.billing_engine import charging, intents, money
from simulator.errors import StripeError, invalid
from simulator.errors import card as card_error
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


@dataclass(frozen=True)
class Outcome:
    """How a confirmation went: `paid`, `declined` (with the error), `requires_action`, or `processing` when
    a bank needs time to say.
    """

    status: str
    error: StripeError | None = None


def confirm(
    sim: "Simulator",
    payment: Obj,
    method: Obj,
    *,
    off_session: bool,
    authenticated: bool = False,
    return_url: str | None = None,
) -> Outcome:
    """Charges a card: the bank pays, declines, or wants to see the customer first; a bank account is asked
    and answers later. Tells everybody but the invoice. Raises 400 for a kind the intent does not take.
    """
    card = cards.behind(method)
    _check_kind(payment, card)
    payment["payment_method"] = method["id"]
    if needs_authentication(card, method, off_session=off_session) and not authenticated:
        if off_session and payment["_"]["invoice"] is None:
            return _decline(sim, payment, method, _needs_customer(payment))
        return _ask(sim, payment, return_url)
    if card.takes is not None:
        return _ask_bank(sim, payment, method, card.takes)
    if card.declines:
        return _decline(sim, payment, method, cards.decline(card))
    return _pay(sim, payment, method, card)


def would_decline(method: Obj, *, off_session: bool) -> StripeError | None:
    """The refusal a charge would meet now, without charging."""
    card = cards.behind(method)
    if needs_authentication(card, method, off_session=off_session):
        return card_error(
            "Your card was declined. This transaction requires authentication.",
            "subscription_payment_intent_requires_action",
        )
    return cards.decline(card) if card.declines else None


def needs_authentication(card: cards.Card, method: Obj, *, off_session: bool) -> bool:
    """Does this card's bank ask for 3-D Secure? A card set up with it once is let through off-session,
    save one kind.
    """
    if card.authentication == "always":
        return True
    if card.authentication == "on_session":
        return not (off_session and (method["_"]["is_set_up"] or card.number == "4000003800000446"))
    return False


def settled_invoice_payment(sim: "Simulator", payment: Obj) -> None:
    """The invoice payment behind an intent is paid; emitted before the charge, as recorded from Stripe."""
    for found in sim.store.find("invoice_payment", "payment.payment_intent", payment["id"]):
        found["status"] = "paid"
        found["amount_paid"] = payment["amount"]
        found["status_transitions"]["paid_at"] = sim.clock.now(payment)
        sim.save(found)
        events.emit(sim, "invoice_payment.paid", found)


def _ask(sim: "Simulator", payment: Obj, return_url: str | None) -> Outcome:
    back = return_url or payment["_"].get("return_url")
    payment["status"] = "requires_action"
    payment["next_action"] = {
        "redirect_to_url": {"return_url": back, "url": f"{sim.base_url}/3ds/{payment['id']}"},
        "type": "redirect_to_url",
    }
    sim.save(payment)
    events.emit(sim, "payment_intent.requires_action", payment)
    return Outcome("requires_action")


def _pay(sim: "Simulator", payment: Obj, method: Obj, card: cards.Card) -> Outcome:
    if payment["capture_method"] == "manual":
        return _authorize(sim, payment, method)
    charge = charging.charge(sim, payment, method, error=None)
    take(sim, payment, charge)
    if payment["setup_future_usage"] or payment["_"]["invoice"]:
        method["_"]["is_set_up"] = True
        sim.save(method)
    settled_invoice_payment(sim, payment)
    events.emit(sim, "charge.succeeded", charge)
    events.emit(sim, "payment_intent.succeeded", payment)
    after_paying(sim, card, charge)
    return Outcome("paid")


def after_paying(sim: "Simulator", card: cards.Card, charge: Obj) -> None:
    """What some test cards do when all is paid: dispute it, or make the money available at once."""
    if card.disputes or card.inquires:
        from simulator.resources import disputes

        disputes.open_for(sim, charge, is_inquiry=card.inquires)
    if card.at_once:
        from simulator.resources import account

        events.emit(sim, "balance.available", account.sums(sim))


def take(sim: "Simulator", payment: Obj, charge: Obj) -> None:
    """The money of a charge arrives, less Stripe's fee; the caller tells the world."""
    fee = money.share(charge["amount_captured"], 29, 1000) + 30
    entry = charging.transaction(
        sim,
        kind="charge",
        source=charge,
        amount=charge["amount_captured"],
        fee=fee,
        description=payment["description"],
    )
    charge["balance_transaction"] = entry["id"]
    sim.save(charge)
    payment |= {
        "status": "succeeded",
        "amount_capturable": 0,
        "amount_received": charge["amount_captured"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    sim.save(payment)


def _check_kind(payment: Obj, card: cards.Card) -> None:
    if card.kind not in payment["payment_method_types"]:
        allowed = ", ".join(payment["payment_method_types"])
        raise invalid(
            f"The PaymentMethod provided ({card.kind}) is not allowed for this PaymentIntent. "
            f"It takes: {allowed}.",
            param="payment_method",
        )
    if card.kind == "sepa_debit" and payment["currency"] != "eur":
        raise invalid("SEPA Direct Debit only takes payments in `eur`.", param="currency")


def _ask_bank(sim: "Simulator", payment: Obj, method: Obj, takes: int) -> Outcome:
    charge = charging.charge(sim, payment, method, error=None, is_pending=True)
    payment |= {
        "status": "processing",
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    payment["_"]["answers_at"] = sim.clock.now(payment) + takes
    sim.save(payment)
    events.emit(sim, "charge.pending", charge)
    events.emit(sim, "payment_intent.processing", payment)
    return Outcome("processing")


def _authorize(sim: "Simulator", payment: Obj, method: Obj) -> Outcome:
    """`capture_method=manual`: the bank holds the amount until it is captured or canceled."""
    charge = charging.charge(sim, payment, method, error=None, captures=False)
    payment |= {
        "status": "requires_capture",
        "amount_capturable": payment["amount"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    sim.save(payment)
    events.emit(sim, "charge.succeeded", charge)
    events.emit(sim, "payment_intent.amount_capturable_updated", payment)
    return Outcome("paid")


def _decline(sim: "Simulator", payment: Obj, method: Obj, error: StripeError) -> Outcome:
    charge = charging.charge(sim, payment, method, error=error)
    payment |= {
        "status": "requires_payment_method",
        "latest_charge": charge["id"],
        "last_payment_error": intents.described(sim, error, method["id"]) | {"charge": charge["id"]},
        "next_action": None,
        "payment_method": None,
    }
    sim.save(payment)
    error.facts["charge"] = charge["id"]
    error.facts["payment_intent"] = view.snapshot(sim, payment)
    events.emit(sim, "charge.failed", charge)
    events.emit(sim, "payment_intent.payment_failed", payment)
    return Outcome("declined", error)


def _needs_customer(payment: Obj) -> StripeError:
    return card_error(
        "Your card was declined. This transaction requires authentication.",
        "authentication_required",
        "authentication_required",
    )
