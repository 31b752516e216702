"""Invoices paid by payments made elsewhere: in parts, or more than was asked
(docs.stripe.com/invoicing/partial-payments).
"""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import collection, intents, invoicing, payments
from simulator.errors import invalid
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def attach(sim: "Simulator", invoice: Obj, payment: Obj) -> None:
    """Lets a payment count for an open invoice: at once when it has succeeded, else when it does."""
    if invoice["status"] != "open":
        raise invalid(
            f"Payments can only be attached to open invoices; this one is {invoice['status']}.",
            code="invoice_not_editable",
        )
    if payment["_"]["invoice"] or payment["_"].get("attached_to"):
        raise invalid("This PaymentIntent already belongs to an invoice.", param="payment_intent")
    if payment["currency"] != invoice["currency"] or payment["customer"] != invoice["customer"]:
        raise invalid(
            "The PaymentIntent must be of the invoice's customer and currency.", param="payment_intent"
        )
    if payment["status"] == "canceled":
        raise invalid("A canceled PaymentIntent cannot pay an invoice.", param="payment_intent")
    payment["_"]["attached_to"] = invoice["id"]
    sim.save(payment)
    sim.save(
        new(
            "invoice_payment",
            amount_requested=payment["amount"],
            created=sim.clock.now(invoice),
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=False,
            payment={"payment_intent": payment["id"], "type": "payment_intent"},
            status="open",
            status_transitions={"canceled_at": None, "paid_at": None},
        )
    )
    if payment["status"] == "succeeded":
        payments.settled_invoice_payment(sim, payment)
        _count(sim, payment)


@events.follows("payment_intent.succeeded")
def _count(sim: "Simulator", payment: Obj) -> None:
    """The money of an attached payment is there."""
    invoice = sim.store.get("invoice", payment["_"].get("attached_to"))
    if invoice is None or invoice["status"] != "open":
        return
    own = invoicing.payment_of(sim, invoice)
    paid = invoice["amount_paid"] + payment["amount_received"]
    if paid < invoice["amount_due"]:
        with events.change(sim, invoice, "invoice.updated"):
            invoice |= {"amount_paid": paid, "amount_remaining": invoice["amount_due"] - paid}
        if own is not None:
            own["amount"] = invoice["amount_remaining"]
            sim.save(own)
        return
    invoice["amount_overpaid"] = paid - invoice["amount_due"]
    if own is not None and own["status"] not in ("succeeded", "canceled"):
        intents.cancel(sim, own, None)
    collection.settle(sim, invoice)
