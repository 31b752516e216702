"""Getting an invoice paid: attempts, retries, and what each means for the subscription behind it."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import canceling, intents, invoicing, payments, pending, periods
from simulator.billing_engine.payments import Outcome
from simulator.errors import card as card_error
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

_LIVE = ("active", "past_due", "unpaid")


def attempt(
    sim: "Simulator",
    invoice: Obj,
    *,
    method: Obj | None = None,
    off_session: bool = True,
    authenticated: bool = False,
) -> Outcome:
    """Tries to charge the open invoice; retries are planned when that fails."""
    method = method or method_for(sim, invoice)
    payment = invoicing.payment_of(sim, invoice)
    if payment is None or payment["status"] in ("succeeded", "canceled"):
        return Outcome("paid")
    if method is None:
        refusal = card_error(
            "This customer has no attached payment source or default payment method. Please consider "
            "adding a default payment method.",
            "missing",
        )
        return conclude(sim, invoice, Outcome("declined", refusal))
    outcome = payments.confirm(sim, payment, method, off_session=off_session, authenticated=authenticated)
    return conclude(sim, invoice, outcome)


def conclude(sim: "Simulator", invoice: Obj, outcome: Outcome) -> Outcome:
    """Writes the outcome of an attempt on the invoice and its subscription."""
    if outcome.status == "processing":
        _await(sim, invoice)
        return outcome
    invoice["_"]["attempts"] += 1
    if outcome.status == "paid":
        settle(sim, invoice, through_intent=True)
    else:
        _fail(sim, invoice, outcome)
    return outcome


def settle(sim: "Simulator", invoice: Obj, *, through_intent: bool = False, outside: bool = False) -> None:
    """The invoice is paid: by a card, outside Stripe, or because there was nothing to pay."""
    due = invoice["amount_due"]
    with events.change(sim, invoice, "invoice.updated"):
        invoice |= {
            "status": "paid",
            "attempted": True,
            "attempt_count": invoice["_"]["attempts"],
            "amount_paid": 0 if outside else due,
            "amount_paid_off_stripe": due if outside else 0,
            "amount_remaining": 0,
            "next_payment_attempt": None,
            "auto_advance": False,
        }
        invoice["status_transitions"]["paid_at"] = sim.clock.now(invoice)
    if outside:
        payment = invoicing.payment_of(sim, invoice)
        if payment is not None:
            intents.cancel(sim, payment, None)
    events.emit(sim, "invoice.paid", invoice)
    if not outside:
        events.emit(sim, "invoice.payment_succeeded", invoice)
    _after_payment(sim, invoice)


def method_for(sim: "Simulator", invoice: Obj) -> Obj | None:
    """The card to charge: the invoice's, the subscription's, the customer's default."""
    subscription = invoicing.subscription_of(sim, invoice)
    customer = sim.store.get("customer", invoice["customer"])
    settings = customer.get("invoice_settings") if customer else None
    for name in (
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        settings["default_payment_method"] if settings else None,
    ):
        found = sim.store.get("payment_method", name)
        if found is not None:
            return found
    return None


def _await(sim: "Simulator", invoice: Obj) -> None:
    """A bank needs days to say: meanwhile the subscription is active
    (docs.stripe.com/billing/subscriptions/overview#payment-status).
    """
    with events.change(sim, invoice, "invoice.updated"):
        invoice |= {"attempted": True, "next_payment_attempt": None}
    subscription = invoicing.subscription_of(sim, invoice)
    if subscription is not None and subscription["status"] == "incomplete":
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "active"


def _fail(sim: "Simulator", invoice: Obj, outcome: Outcome) -> None:
    attempts = invoice["_"]["attempts"]
    is_first = invoice["billing_reason"] == "subscription_create"
    retries = 0 if is_first or invoice["billing_reason"] == "manual" else len(sim.retry_days)
    is_last = attempts > retries
    now = sim.clock.now(invoice)
    with events.change(sim, invoice, "invoice.updated"):
        invoice["attempted"] = True
        invoice["attempt_count"] = attempts
        invoice["next_payment_attempt"] = (
            None if is_last else now + sim.retry_days[min(attempts, retries) - 1] * periods.DAY
        )
    if outcome.status == "requires_action":
        events.emit(sim, "invoice.payment_action_required", invoice)
    events.emit(sim, "invoice.payment_failed", invoice)
    customer = sim.store.get("customer", invoice["customer"])
    if customer is not None and customer.get("delinquent") is False:  # a deleted one says nothing of it
        with events.change(sim, customer, "customer.updated"):
            customer["delinquent"] = True
    subscription = invoicing.subscription_of(sim, invoice)
    is_sent = invoice["collection_method"] == "send_invoice"
    if subscription is None or (is_first and is_sent) or subscription["pending_update"] is not None:
        return
    if subscription["status"] == "active":
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "past_due"
    if is_last and retries:
        _give_up(sim, invoice, subscription)


def _give_up(sim: "Simulator", invoice: Obj, subscription: Obj) -> None:
    if subscription["status"] not in _LIVE:
        return
    if sim.after_last_retry == "cancel":
        with events.change(sim, invoice, "invoice.updated"):
            invoice["auto_advance"] = False
        # No invoice is made for a canceled subscription, and what was used since the last one is discarded, unless
        # the cancellation asks for a final invoice (docs.stripe.com/billing/subscriptions/cancel).
        canceling.end(sim, subscription, reason="payment_failed", invoice_now=False)
    elif sim.after_last_retry == "unpaid":
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "unpaid"


def _after_payment(sim: "Simulator", invoice: Obj) -> None:
    customer = sim.store.get("customer", invoice["customer"])
    if customer is not None and customer.get("delinquent") and not _owes(sim, customer):
        with events.change(sim, customer, "customer.updated"):
            customer["delinquent"] = False
    subscription = invoicing.subscription_of(sim, invoice)
    if subscription is None:
        return
    if (
        subscription["pending_update"] is not None
        and subscription["_"].get("pending_invoice") == invoice["id"]
    ):
        pending.apply(sim, subscription)
    _keep_card(sim, invoice, subscription)
    if (subscription["status"] == "incomplete" and subscription["latest_invoice"] == invoice["id"]) or (
        subscription["status"] in ("past_due", "unpaid") and not _owes_for(sim, subscription)
    ):
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "active"


def _keep_card(sim: "Simulator", invoice: Obj, subscription: Obj) -> None:
    """`save_default_payment_method=on_subscription`: the card that paid becomes the subscription's."""
    if (subscription["payment_settings"] or {}).get("save_default_payment_method") != "on_subscription":
        return
    payment = invoicing.payment_of(sim, invoice)
    if payment is not None and payment["payment_method"] and subscription["default_payment_method"] is None:
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["default_payment_method"] = payment["payment_method"]


def _owes(sim: "Simulator", customer: Obj) -> bool:
    invoices = sim.store.find("invoice", "customer", customer["id"])
    return any(one["status"] == "open" and one["attempted"] for one in invoices)


def _owes_for(sim: "Simulator", subscription: Obj) -> bool:
    latest = sim.store.get("invoice", subscription["latest_invoice"])
    return latest is not None and latest["status"] == "open" and latest["attempted"]
