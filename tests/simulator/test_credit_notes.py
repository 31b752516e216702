"""Credit notes: an invoice made smaller, before it is paid or after."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop


@pytest.fixture
def paid(shop: Shop) -> stripe.Invoice:
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.price(3000), customer=customer)
    return shop.invoices(customer)[0]


def test_money_goes_back_to_the_card(shop: Shop, paid: stripe.Invoice) -> None:
    note = shop.v1.credit_notes.create({"invoice": paid.id, "amount": 1000, "refund_amount": 1000})

    assert (note.type, note.status, note.total) == ("post_payment", "issued", 1000)
    assert note.number == f"{paid.number}-CN-01"
    refund = shop.v1.refunds.retrieve(str(note.refunds[0].refund))
    assert (refund.amount, refund.status) == (1000, "succeeded")
    assert shop.v1.invoices.retrieve(paid.id).post_payment_credit_notes_amount == 1000


def test_money_becomes_credit_and_pays_the_next_month(shop: Shop, paid: stripe.Invoice) -> None:
    customer = str(paid.customer)
    line = paid.lines.data[0].id
    note = shop.v1.credit_notes.create(
        {
            "invoice": paid.id,
            "lines": [{"type": "invoice_line_item", "invoice_line_item": line, "amount": 500}],
        }
    )
    assert shop.v1.customers.retrieve(customer).balance == -500
    moved = shop.v1.customers.balance_transactions.list(customer).data[0]
    assert (moved.type, moved.credit_note, moved.id) == (
        "credit_note",
        note.id,
        note.customer_balance_transaction,
    )

    shop.advance(days=29)

    assert shop.invoices(customer)[1].amount_paid == 2500


def test_an_open_invoice_asks_for_less_and_may_be_settled_so(shop: Shop) -> None:
    customer = shop.customer()
    shop.v1.invoice_items.create({"customer": customer, "amount": 2000, "currency": "usd"})
    draft = shop.v1.invoices.create(
        {
            "customer": customer,
            "pending_invoice_items_behavior": "include",
            "collection_method": "send_invoice",
        }
    )
    invoice = shop.v1.invoices.finalize_invoice(draft.id)

    first = shop.v1.credit_notes.create({"invoice": invoice.id, "amount": 500, "memo": "Late"})
    assert (first.type, shop.v1.invoices.retrieve(invoice.id).amount_remaining) == ("pre_payment", 1500)
    assert shop.v1.credit_notes.void_credit_note(first.id).status == "void"
    assert shop.v1.invoices.retrieve(invoice.id).amount_remaining == 2000
    shop.v1.credit_notes.create({"invoice": invoice.id, "amount": 2000})

    after = shop.v1.invoices.retrieve(invoice.id)
    assert (after.status, after.amount_paid, after.pre_payment_credit_notes_amount) == ("paid", 0, 2000)


def test_tax_and_discount_of_a_line_go_back_with_it(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    coupon = shop.v1.coupons.create({"percent_off": 20, "duration": "once"}).id
    shop.subscribe(
        shop.price(1000), customer=customer, automatic_tax={"enabled": True}, discounts=[{"coupon": coupon}]
    )
    invoice = shop.invoices(customer)[0]
    assert invoice.total == 880

    note = shop.v1.credit_notes.create(
        {
            "invoice": invoice.id,
            "lines": [
                {
                    "type": "invoice_line_item",
                    "invoice_line_item": invoice.lines.data[0].id,
                    "quantity": 1,
                }
            ],
            "refund_amount": 880,
        }
    )

    assert (note.subtotal, note.discount_amount, note.total_excluding_tax, note.total) == (
        1000,
        200,
        800,
        880,
    )


def test_a_preview_is_the_note_and_keeps_nothing(shop: Shop, paid: stripe.Invoice) -> None:
    seen = shop.v1.credit_notes.preview({"invoice": paid.id, "amount": 700, "credit_amount": 700})

    assert (seen.total, seen.post_payment_amount) == (700, 700)
    assert shop.v1.credit_notes.list({"invoice": paid.id}).data == []
    note = shop.v1.credit_notes.create({"invoice": paid.id, "amount": 700, "credit_amount": 700})
    assert [line.amount for line in shop.v1.credit_notes.line_items.list(note.id).data] == [700]
    assert shop.v1.credit_notes.update(note.id, {"memo": "Sorry"}).memo == "Sorry"


def test_no_more_than_the_invoice_and_all_of_it_accounted_for(shop: Shop, paid: stripe.Invoice) -> None:
    shop.v1.credit_notes.create({"invoice": paid.id, "amount": 2000})

    with pytest.raises(stripe.InvalidRequestError, match="at most the amount of the invoice"):
        shop.v1.credit_notes.create({"invoice": paid.id, "amount": 1001})
    with pytest.raises(stripe.InvalidRequestError, match="must equal the post payment amount"):
        shop.v1.credit_notes.create({"invoice": paid.id, "amount": 100, "refund_amount": 99})
    with pytest.raises(stripe.InvalidRequestError, match="only void"):
        shop.v1.credit_notes.void_credit_note(shop.v1.credit_notes.list().data[0].id)
