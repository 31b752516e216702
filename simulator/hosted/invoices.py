"""What a customer does on the hosted invoice page: pay it with a card."""

from typing import TYPE_CHECKING, Any

from simulator import events
from simulator.billing_engine import collection, invoicing
from simulator.errors import StripeError
from simulator.hosted.outcome import NotOpen, Outcome
from simulator.resources import customers, invoices, payment_methods

if TYPE_CHECKING:
    from simulator.core import Simulator


def pay_hosted(sim: "Simulator", invoice_id: str, *, card: dict[str, Any] | None = None) -> Outcome:
    """Pays an open invoice; a new card becomes the customer's and the subscription's default. Raises
    `NotOpen`.
    """
    with sim.transaction():
        invoice = invoices.need(sim, invoice_id)
        if invoice["status"] != "open":
            raise NotOpen(f"This invoice is {invoice['status']}.")
        customer = customers.need(sim, invoice["customer"])
        try:
            method = collection.method_for(sim, invoice)
            if card is not None:
                method = payment_methods.typed(sim, card, customer=customer)
            outcome = collection.attempt(sim, invoice, method=method, off_session=False)
        except StripeError as refusal:
            if refusal.kind != "card_error":
                raise
            return Outcome.declined(refusal)
        if outcome.error is not None:
            return Outcome.declined(outcome.error)
        payment = invoicing.payment_of(sim, invoice)
        if outcome.status == "requires_action" and payment is not None:
            return Outcome("requires_action", intent=payment["id"])
        if method is not None and method["customer"] is None:
            payment_methods.attach_to(sim, method, customer)
            with events.change(sim, customer, "customer.updated"):
                customer["invoice_settings"]["default_payment_method"] = method["id"]
            subscription = invoicing.subscription_of(sim, invoice)
            if subscription is not None and subscription["status"] not in ("canceled", "incomplete_expired"):
                with events.change(sim, subscription, "customer.subscription.updated"):
                    subscription["default_payment_method"] = method["id"]
        return Outcome("paid")
