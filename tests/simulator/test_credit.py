"""Credit: what a customer has with us, where it came from and what it paid for."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop


def test_credit_pays_the_next_invoice_and_its_history_says_so(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    given = shop.v1.customers.balance_transactions.create(
        customer, {"amount": -1000, "currency": "usd", "description": "Sorry"}
    )
    shop.subscribe(shop.price(2900), customer=customer)

    invoice = shop.invoices(customer)[0]
    used, first = shop.v1.customers.balance_transactions.list(customer).data

    assert (invoice.total, invoice.amount_paid, invoice.starting_balance) == (2900, 1900, -1000)
    assert (first.id, first.type, first.ending_balance) == (given.id, "adjustment", -1000)
    assert (used.type, used.amount, used.ending_balance) == ("applied_to_invoice", 1000, 0)
    assert used.invoice == invoice.id
    assert shop.v1.customers.retrieve(customer).balance == 0
    of_invoice = shop.v1.customers.balance_transactions.list(customer, {"invoice": invoice.id})
    assert [one.id for one in of_invoice.data] == [used.id]


def test_what_is_left_of_a_credit_waits_for_the_invoice_after(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa", balance=-5000)
    shop.subscribe(shop.price(2900), customer=customer)
    shop.advance(days=29)

    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [0, 800]


def test_a_debt_is_added_to_the_next_invoice(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa", balance=300)
    shop.subscribe(shop.price(2900), customer=customer)

    assert shop.invoices(customer)[0].amount_paid == 3200


def test_a_credit_is_described_later_but_never_in_another_currency(shop: Shop) -> None:
    customer = shop.customer(balance=-100)
    made = shop.v1.customers.balance_transactions.list(customer).data[0]

    after = shop.v1.customers.balance_transactions.update(customer, made.id, {"description": "Gift"})

    assert shop.v1.customers.balance_transactions.retrieve(customer, made.id).description == "Gift"
    assert after.type == "initial"
    with pytest.raises(stripe.InvalidRequestError, match="currency must be"):
        shop.v1.customers.balance_transactions.create(customer, {"amount": -5, "currency": "eur"})
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        shop.v1.customers.balance_transactions.retrieve(shop.customer(), made.id)
