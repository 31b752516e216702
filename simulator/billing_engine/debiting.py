"""A bank answers later: a debit of a bank account goes through or comes back when its time is over
(docs.stripe.com/payments/sepa-debit).
"""

from typing import TYPE_CHECKING

from simulator import cards, events
from simulator.billing_engine import charging, collection, intents, payments
from simulator.billing_engine.payments import Outcome
from simulator.errors import card as card_error
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def when(sim: "Simulator", payment: Obj) -> int | None:
    """When the bank answers; None for an intent that waits for nobody."""
    return int(payment["_"]["answers_at"]) if payment["status"] == "processing" else None


def answer(sim: "Simulator", payment: Obj) -> None:
    """The bank answers, and the invoice behind the payment hears it."""
    method = sim.store.get("payment_method", payment["payment_method"]) or {}
    charge = sim.store.get("charge", payment["latest_charge"]) or {}
    account = cards.behind(method)
    outcome = _return(sim, payment, charge) if account.bounces else _arrive(sim, payment, charge)
    invoice = sim.store.get("invoice", payment["_"]["invoice"])
    if invoice is not None and invoice["status"] == "open":
        collection.conclude(sim, invoice, outcome)
    if outcome.error is None:
        payments.after_paying(sim, account, charge)


def _arrive(sim: "Simulator", payment: Obj, charge: Obj) -> Outcome:
    charge |= {
        "status": "succeeded",
        "paid": True,
        "captured": True,
        "amount_captured": charge["amount"],
        "receipt_url": f"{sim.base_url}/receipts/{charge['id']}",
    }
    payments.take(sim, payment, charge)
    payments.settled_invoice_payment(sim, payment)
    events.emit(sim, "charge.succeeded", charge)
    events.emit(sim, "payment_intent.succeeded", payment)
    return Outcome("paid")


def _return(sim: "Simulator", payment: Obj, charge: Obj) -> Outcome:
    error = card_error(
        "The customer's bank could not process the debit.", "payment_intent_payment_attempt_failed"
    )
    charge |= {
        "status": "failed",
        "failure_code": "generic_could_not_process",
        "failure_message": error.message,
        "outcome": charging.outcome(error),
    }
    sim.save(charge)
    payment |= {
        "status": "requires_payment_method",
        "last_payment_error": intents.described(sim, error, payment["payment_method"])
        | {"charge": charge["id"]},
        "payment_method": None,
    }
    sim.save(payment)
    events.emit(sim, "charge.failed", charge)
    events.emit(sim, "payment_intent.payment_failed", payment)
    return Outcome("declined", error)


@events.follows("payment_intent.succeeded")
def _paid_late(sim: "Simulator", payment: Obj) -> None:
    """The bank of a session that was completed without money has answered: it is paid."""
    for session in _waiting_for(sim, payment):
        session["payment_status"] = "paid"
        sim.save(session)
        events.emit(sim, "checkout.session.async_payment_succeeded", session)


@events.follows("payment_intent.payment_failed")
def _failed_late(sim: "Simulator", payment: Obj) -> None:
    for session in _waiting_for(sim, payment):
        events.emit(sim, "checkout.session.async_payment_failed", session)


def _waiting_for(sim: "Simulator", payment: Obj) -> list[Obj]:
    found = sim.store.find("checkout.session", "payment_intent", payment["id"])
    invoice = sim.store.get("invoice", payment["_"]["invoice"])
    if invoice is not None and invoice["billing_reason"] == "subscription_create":
        details = (invoice["parent"] or {}).get("subscription_details") or {}
        found += sim.store.find("checkout.session", "subscription", details.get("subscription"))
    return [one for one in found if one["status"] == "complete" and one["payment_status"] == "unpaid"]
