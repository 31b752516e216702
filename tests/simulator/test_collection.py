"""Collecting otherwise than by card at once: by invoice with days until due, or not for a while."""

from __future__ import annotations

import pytest

from tests.simulator.shop import NEW_YEAR, Shop, at


def test_an_invoice_to_be_paid_by_transfer_is_sent_announced_and_overdue(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(
        shop.price(), customer=customer, collection_method="send_invoice", days_until_due=10
    )
    shop.advance(hours=2)
    invoice = shop.invoices(customer)[0]
    assert (invoice.status, invoice.amount_paid) == ("open", 0)
    assert invoice.due_date == NEW_YEAR + 10 * 86_400

    shop.advance(days=6)
    assert "invoice.will_be_due" not in shop.happened()
    shop.advance(days=2)
    assert shop.happened().count("invoice.will_be_due") == 1
    assert "invoice.overdue" not in shop.happened()
    shop.advance(days=3)

    assert shop.happened().count("invoice.overdue") == 1
    assert shop.subscription(subscription.id).status == "past_due"
    shop.v1.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert shop.subscription(subscription.id).status == "active"


def test_an_invoice_due_at_once_is_not_announced(shop: Shop) -> None:
    customer = shop.customer()
    shop.subscribe(shop.price(), customer=customer, collection_method="send_invoice", days_until_due=1)

    shop.advance(days=2)

    assert "invoice.will_be_due" not in shop.happened()
    assert shop.happened().count("invoice.overdue") == 1


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")],
)
def test_while_collection_is_paused_nothing_is_taken(shop: Shop, behavior: str, status: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2900), customer=customer)
    shop.v1.subscriptions.update(
        subscription.id,
        {"pause_collection": {"behavior": behavior, "resumes_at": at(2026, 3, 15)}},  # type: ignore[typeddict-item]
    )

    shop.advance(to=at(2026, 2, 28, 14))
    assert [one.status for one in shop.invoices(customer)] == ["paid", status]
    assert shop.subscription(subscription.id).status == "active"
    shop.advance(to=at(2026, 3, 31, 14))

    assert shop.subscription(subscription.id).pause_collection is None
    assert [one.amount_paid for one in shop.invoices(customer)] == [2900, 0, 2900]


def test_what_was_begun_before_a_pause_is_charged_and_what_was_begun_in_it_is_not(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(2900), customer=customer).id
    shop.advance(to=at(2026, 2, 28) + 60)
    shop.v1.subscriptions.update(name, {"pause_collection": {"behavior": "void"}})
    shop.advance(to=at(2026, 3, 31) + 60)
    shop.v1.subscriptions.update(name, {"pause_collection": ""})

    shop.advance(hours=2)

    assert [one.status for one in shop.invoices(customer)] == ["paid", "paid", "void"]


def test_a_pause_uses_up_no_credit(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(2900), customer=customer).id
    shop.v1.subscriptions.update(name, {"pause_collection": {"behavior": "void"}})
    shop.v1.customers.balance_transactions.create(customer, {"amount": -5000, "currency": "usd"})

    shop.advance(to=at(2026, 2, 28, 14))

    assert shop.invoices(customer)[-1].status == "void"
    assert shop.v1.customers.retrieve(customer).balance == -5000
    kinds = [one.type for one in shop.v1.customers.balance_transactions.list(customer).data]
    assert kinds == ["unapplied_from_invoice", "applied_to_invoice", "adjustment"]


@pytest.mark.parametrize("outcome", ["cancel", "unpaid", "past_due"])
def test_what_becomes_of_who_never_pays_is_a_setting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    monkeypatch.setattr(shop.sim, "after_last_retry", outcome)
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(), customer=customer)
    shop.give_card(customer, "pm_card_chargeCustomerFail")

    shop.advance(to=at(2026, 3, 20))

    wanted = {"cancel": "canceled"}.get(outcome, outcome)
    assert shop.subscription(subscription.id).status == wanted
