"""An invoice written by hand: lines put on, changed, taken off, and paid in parts."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import Shop


def draft(shop: Shop, *amounts: int, **more: Any) -> stripe.Invoice:
    customer = shop.customer(pays_with="pm_card_visa")
    invoice = shop.v1.invoices.create({"customer": customer, "auto_advance": False, **more})
    lines: Any = [{"amount": amount, "description": f"Work {amount}"} for amount in amounts]
    return shop.v1.invoices.add_lines(invoice.id, {"lines": lines}) if lines else invoice


def said(invoice: stripe.Invoice) -> list[tuple[str | None, int]]:
    return [(line.description, line.amount) for line in invoice.lines.data]


def test_lines_are_put_on_by_amount_by_price_and_from_what_waits(shop: Shop) -> None:
    invoice = draft(shop)
    waiting = shop.v1.invoice_items.create(
        {"customer": str(invoice.customer), "amount": 300, "currency": "usd", "description": "Waited"}
    ).id
    price = shop.v1.prices.create(
        {"product": shop.v1.products.create({"name": "Hour"}).id, "currency": "usd", "unit_amount": 250}
    ).id
    lines: Any = [
        {"amount": 100, "description": "Work"},
        {"pricing": {"price": price}, "quantity": 4},
        {"invoice_item": waiting},
    ]

    after = shop.v1.invoices.add_lines(invoice.id, {"lines": lines, "invoice_metadata": {"po": "7"}})

    assert said(after) == [("Work", 100), ("Hour", 1000), ("Waited", 300)]
    assert (after.total, after.metadata and after.metadata.to_dict()) == (1400, {"po": "7"})
    with pytest.raises(stripe.InvalidRequestError, match="already on an invoice"):
        shop.v1.invoices.add_lines(invoice.id, {"lines": [{"invoice_item": waiting}]})


def test_lines_are_changed_one_or_many_at_a_time(shop: Shop) -> None:
    invoice = draft(shop, 100, 200)
    first, second = (line.id for line in invoice.lines.data)
    rate = shop.v1.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False}).id

    line = shop.v1.invoices.line_items.update(invoice.id, first, {"amount": 150, "tax_rates": [rate]})
    assert (line.amount, line.taxes and line.taxes[0].amount) == (150, 15)
    after = shop.v1.invoices.update_lines(
        invoice.id, {"lines": [{"id": first, "description": "First"}, {"id": second, "quantity": 3}]}
    )

    assert said(after) == [("First", 150), ("Work 200", 600)]
    assert after.total == 150 + 15 + 600
    with pytest.raises(stripe.InvalidRequestError, match="No such line_item"):
        shop.v1.invoices.update_lines(invoice.id, {"lines": [{"id": "il_nowhere", "amount": 1}]})


def test_when_one_line_is_wrong_none_is_taken(shop: Shop) -> None:
    invoice = draft(shop, 100)
    known = invoice.lines.data[0].id
    wrong: Any = {"amount": 5, "tax_rates": ["txr_nowhere"]}

    with pytest.raises(stripe.InvalidRequestError, match="No such tax_rate"):
        shop.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 7}, wrong]})
    with pytest.raises(stripe.InvalidRequestError, match="No such tax_rate"):
        shop.v1.invoices.update_lines(
            invoice.id, {"lines": [{"id": known, "amount": 9}, wrong | {"id": known}]}
        )

    after = shop.v1.invoices.retrieve(invoice.id)
    assert (said(after), after.total) == ([("Work 100", 100)], 100)
    assert len(shop.v1.invoice_items.list({"customer": str(invoice.customer)}).data) == 1


def test_a_tax_that_was_computed_elsewhere_is_taken_as_it_is(shop: Shop) -> None:
    invoice = draft(shop, 1000)
    tax: Any = {
        "amount": 77,
        "taxable_amount": 1000,
        "tax_rate_data": {"display_name": "City", "inclusive": False, "percentage": 7.7},
    }

    shop.v1.invoices.line_items.update(invoice.id, invoice.lines.data[0].id, {"tax_amounts": [tax]})

    assert shop.v1.invoices.retrieve(invoice.id).total == 1077


def test_a_line_taken_off_is_gone_or_waits_for_another_invoice(shop: Shop) -> None:
    invoice = draft(shop, 100, 200)
    first, second = (line.id for line in invoice.lines.data)

    after = shop.v1.invoices.remove_lines(
        invoice.id, {"lines": [{"id": first, "behavior": "delete"}, {"id": second, "behavior": "unassign"}]}
    )

    assert (said(after), after.total) == ([], 0)
    waiting = shop.v1.invoice_items.list({"customer": str(invoice.customer), "pending": True}).data
    assert [item.amount for item in waiting] == [200]


def test_a_final_invoice_keeps_its_lines(shop: Shop) -> None:
    invoice = draft(shop, 100)
    shop.v1.invoices.finalize_invoice(invoice.id)

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        shop.v1.invoices.add_lines(invoice.id, {"lines": [{"amount": 1}]})

    assert refusal.value.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.invoices.remove_lines(
            invoice.id, {"lines": [{"id": invoice.lines.data[0].id, "behavior": "delete"}]}
        )


def paid(shop: Shop, invoice: stripe.Invoice, amount: int, **more: Any) -> stripe.PaymentIntent:
    given: Any = {
        "amount": amount,
        "currency": "usd",
        "customer": invoice.customer,
        "payment_method": "pm_card_visa",
        "confirm": True,
    }
    return shop.v1.payment_intents.create(given | more)


def test_an_invoice_is_paid_in_parts_by_payments_made_elsewhere(shop: Shop) -> None:
    invoice = draft(shop, 1000)
    shop.v1.invoices.finalize_invoice(invoice.id)

    part = shop.v1.invoices.attach_payment(invoice.id, {"payment_intent": paid(shop, invoice, 400).id})
    assert (part.status, part.amount_paid, part.amount_remaining) == ("open", 400, 600)
    whole = shop.v1.invoices.attach_payment(invoice.id, {"payment_intent": paid(shop, invoice, 700).id})

    assert (whole.status, whole.amount_remaining, whole.amount_overpaid) == ("paid", 0, 100)
    payments = shop.v1.invoice_payments.list({"invoice": invoice.id, "status": "paid"}).data
    assert sorted(one.amount_paid or 0 for one in payments) == [400, 700]
    assert shop.happened().count("invoice_payment.paid") == 2


def test_a_payment_attached_before_it_is_made_counts_when_it_is(shop: Shop) -> None:
    invoice = draft(shop, 1000)
    shop.v1.invoices.finalize_invoice(invoice.id)
    intent = paid(shop, invoice, 1000, confirm=False)

    assert shop.v1.invoices.attach_payment(invoice.id, {"payment_intent": intent.id}).status == "open"
    shop.v1.payment_intents.confirm(intent.id)

    assert shop.v1.invoices.retrieve(invoice.id).status == "paid"


def test_what_is_left_after_a_part_is_what_the_card_is_asked_for(shop: Shop) -> None:
    invoice = draft(shop, 1000)
    shop.v1.invoices.finalize_invoice(invoice.id)
    shop.v1.invoices.attach_payment(invoice.id, {"payment_intent": paid(shop, invoice, 400).id})

    assert shop.v1.invoices.pay(invoice.id).status == "paid"

    charges = shop.v1.charges.list({"customer": str(invoice.customer)}).data
    assert sorted(charge.amount for charge in charges) == [400, 600]


def test_only_the_customers_own_payment_counts_and_only_once(shop: Shop) -> None:
    first, second = draft(shop, 1000), draft(shop, 1000)
    for invoice in (first, second):
        shop.v1.invoices.finalize_invoice(invoice.id)
    payment = paid(shop, first, 100)

    with pytest.raises(stripe.InvalidRequestError, match="customer"):
        shop.v1.invoices.attach_payment(second.id, {"payment_intent": payment.id})
    shop.v1.invoices.attach_payment(first.id, {"payment_intent": payment.id})
    with pytest.raises(stripe.InvalidRequestError, match="already belongs"):
        shop.v1.invoices.attach_payment(first.id, {"payment_intent": payment.id})

    assert shop.v1.invoices.retrieve(second.id).amount_paid == 0
