"""Invoices and what becomes of their money: paid, told in order, credited, given back, disputed."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.contract.counterpart import Counterpart

# What a paid first invoice tells, as recordings of real accounts have it.
PAID = [
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
    "charge.succeeded",
    "payment_intent.created",
    "payment_intent.succeeded",
]


def _paid_invoice(side: Counterpart, customer: str, amount: int = 5000) -> stripe.Invoice:
    """An invoice written by hand and paid by card."""
    invoice = side.v1.invoices.create({"customer": customer, "currency": "usd", "auto_advance": False})
    assert invoice.id is not None
    side.v1.invoice_items.create(
        {
            "customer": customer,
            "invoice": invoice.id,
            "amount": amount,
            "currency": "usd",
            "description": "Help",
        }
    )
    open_one = side.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    assert (open_one.status, open_one.amount_due) == ("open", amount)
    return side.v1.invoices.pay(invoice.id)


def _charge_of(side: Counterpart, invoice: stripe.Invoice) -> str:
    assert invoice.id is not None
    payments = side.v1.invoice_payments.list(
        {"invoice": invoice.id, "expand": ["data.payment.payment_intent"]}
    )
    intent = payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    return str(intent.latest_charge)


def test_a_hand_written_invoice_is_finalized_numbered_and_paid(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_visa")

    invoice = _paid_invoice(stripe_side, customer)

    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == ("paid", 5000, 0)
    assert invoice.number
    assert invoice.hosted_invoice_url
    assert invoice.invoice_pdf
    assert invoice.status_transitions.paid_at is not None
    assert [line.description for line in invoice.lines.data] == ["Help"]


def test_a_paid_invoice_is_told_with_everything_that_led_to_it(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_visa")
    _paid_invoice(stripe_side, customer)

    def told() -> list[Any]:
        found = stripe_side.told(customer, *PAID)
        # An invoice payment names no customer; one of this invoice is enough.
        found += list(stripe_side.v1.events.list({"types": ["invoice_payment.paid"]}).data[:1])
        return found if {it.type for it in found} == set(PAID) else []

    seen = stripe_side.until(told)

    at = {event.type: event for event in seen}
    assert at["invoice.created"].data.object["status"] == "draft"
    assert at["invoice.finalized"].data.object["status"] == "open"
    assert at["invoice.paid"].data.object["status"] == "paid"
    assert at["invoice.paid"].api_version is not None
    assert at["invoice.created"].created <= at["invoice.finalized"].created <= at["invoice.paid"].created
    changes = stripe_side.told(customer, "invoice.updated")
    assert any("status" in (it.data.previous_attributes or {}) for it in changes)  # type: ignore[operator]


def test_an_open_invoice_can_be_voided_and_a_paid_one_cannot(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_visa")
    paid = _paid_invoice(stripe_side, customer)
    draft = stripe_side.v1.invoices.create({"customer": customer, "currency": "usd", "auto_advance": False})
    assert paid.id is not None
    assert draft.id is not None
    stripe_side.v1.invoice_items.create(
        {"customer": customer, "invoice": draft.id, "amount": 700, "currency": "usd"}
    )
    stripe_side.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False})

    assert stripe_side.v1.invoices.void_invoice(draft.id).status == "void"
    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.v1.invoices.void_invoice(paid.id)


def test_a_refund_gives_back_part_and_then_the_rest_and_no_more(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_visa")
    charge = _charge_of(stripe_side, _paid_invoice(stripe_side, customer))

    part = stripe_side.v1.refunds.create({"charge": charge, "amount": 2000})
    rest = stripe_side.v1.refunds.create({"charge": charge})

    assert (part.amount, rest.amount) == (2000, 3000)
    back = stripe_side.v1.charges.retrieve(charge)
    assert (back.amount_refunded, back.refunded) == (5000, True)
    with pytest.raises(stripe.InvalidRequestError) as too_much:
        stripe_side.v1.refunds.create({"charge": charge})
    assert too_much.value.code == "charge_already_refunded"
    stripe_side.until(lambda: len(stripe_side.told(customer, "charge.refunded")) == 2)


def test_a_credit_note_leaves_money_on_the_account_for_the_next_invoice(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_visa")
    invoice = _paid_invoice(stripe_side, customer)
    assert invoice.id is not None

    note = stripe_side.v1.credit_notes.create({"invoice": invoice.id, "amount": 1500, "credit_amount": 1500})

    assert (note.status, note.total, note.type) == ("issued", 1500, "post_payment")
    assert stripe_side.v1.customers.retrieve(customer).balance == -1500
    after = stripe_side.v1.invoices.retrieve(invoice.id)
    assert after.post_payment_credit_notes_amount == 1500
    next_one = _with_credit(stripe_side, customer)
    assert (next_one.total, next_one.amount_due, next_one.starting_balance) == (2000, 500, -1500)


def _with_credit(side: Counterpart, customer: str) -> stripe.Invoice:
    draft = side.v1.invoices.create({"customer": customer, "currency": "usd", "auto_advance": False})
    assert draft.id is not None
    side.v1.invoice_items.create(
        {"customer": customer, "invoice": draft.id, "amount": 2000, "currency": "usd"}
    )
    return side.v1.invoices.finalize_invoice(draft.id, {"auto_advance": False})


def test_a_disputed_payment_is_lost_when_it_is_accepted(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(pays_with="pm_card_createDispute")
    charge = _charge_of(stripe_side, _paid_invoice(stripe_side, customer))

    stripe_side.until(lambda: stripe_side.v1.charges.retrieve(charge).disputed)
    (dispute,) = stripe_side.until(lambda: stripe_side.v1.disputes.list({"charge": charge}).data)
    assert (dispute.status, dispute.amount) == ("needs_response", 5000)

    assert stripe_side.v1.disputes.close(dispute.id).status == "lost"
    stripe_side.until(lambda: _closed(stripe_side, dispute.id))


def _closed(side: Counterpart, dispute: str) -> bool:
    page = side.v1.events.list({"types": ["charge.dispute.closed"], "limit": 100})
    return any(event.data.object["id"] == dispute for event in page.data)


def test_a_card_is_saved_for_later_without_a_payment(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()

    saved = stripe_side.v1.setup_intents.create(
        {
            "customer": customer,
            "payment_method": "pm_card_visa",
            "confirm": True,
            "usage": "off_session",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )

    assert saved.status == "succeeded"
    held = stripe_side.v1.customers.payment_methods.list(customer, {"type": "card"}).data
    assert [(it.id, it.card.last4 if it.card else None) for it in held] == [(saved.payment_method, "4242")]


def test_a_refused_payment_says_why_and_can_be_tried_again(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()
    given: Any = {
        "amount": 1200,
        "currency": "usd",
        "customer": customer,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    intent = stripe_side.v1.payment_intents.create(given)

    with pytest.raises(stripe.CardError) as refused:
        stripe_side.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
        )
    assert (refused.value.code, refused.value.http_status) == ("card_declined", 402)
    assert refused.value.error is not None
    assert refused.value.error.decline_code == "insufficient_funds"
    assert stripe_side.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"

    paid = stripe_side.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.amount_received) == ("succeeded", 1200)
