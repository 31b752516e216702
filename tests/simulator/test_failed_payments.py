"""When a renewal is not paid: retries, the states in between, and the ways back."""

from __future__ import annotations

import pytest
import stripe

from simulator.hosted import checkout, invoices
from tests.simulator.shop import DAY, Shop, at, card
from tests.simulator.test_meters import use

FAILS = "pm_card_chargeCustomerFail"


def overdue(shop: Shop, token: str = FAILS) -> tuple[str, str]:
    """A customer whose first renewal, an hour after 28 February, was declined."""
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id
    shop.give_card(customer, token)
    shop.advance(to=at(2026, 2, 28, 13) + 60)
    return customer, name


def test_a_declined_renewal_makes_the_subscription_past_due(shop: Shop) -> None:
    customer, name = overdue(shop)

    assert shop.subscription(name).status == "past_due"
    invoice = shop.invoices(customer)[-1]
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt == at(2026, 2, 28, 13) + 3 * DAY
    assert shop.v1.customers.retrieve(customer).delinquent
    told = shop.happened()
    assert [kind for kind in told[told.index("charge.failed") :] if "test_clock" not in kind] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.updated",
        "invoice.payment_failed",
        "customer.updated",
        "customer.subscription.updated",
    ]


def test_four_failed_attempts_end_the_subscription(shop: Shop) -> None:
    customer, name = overdue(shop)

    for days in (3, 5):
        shop.advance(days=days)
        assert shop.subscription(name).status == "past_due"
    shop.advance(days=7)

    ended = shop.subscription(name)
    assert ended.status == "canceled"
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "payment_failed"
    invoice = shop.invoices(customer)[-1]
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 4, None)
    assert shop.happened().count("invoice.payment_failed") == 4


def test_what_was_used_while_nobody_paid_is_on_no_invoice_when_the_retries_end(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.metered(), customer=customer)
    use(shop, customer, "4")
    shop.give_card(customer, FAILS)
    shop.advance(to=at(2026, 2, 28, 13) + 60)
    use(shop, customer, "3")

    for days in (3, 5, 7):
        shop.advance(days=days)

    assert [invoice.total for invoice in shop.invoices(customer)] == [0, 200]
    assert shop.v1.subscriptions.list({"customer": customer, "status": "canceled"}).data


@pytest.mark.parametrize("ending", ["unpaid", "past_due"])
def test_the_end_of_all_retries_is_a_setting(
    shop: Shop, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.sim, "after_last_retry", ending)
    _, name = overdue(shop)

    shop.advance(days=16)

    assert shop.subscription(name).status == ending


def test_a_new_card_is_charged_at_the_next_retry(shop: Shop) -> None:
    customer, name = overdue(shop)
    shop.give_card(customer, "pm_card_visa")

    shop.advance(days=3)

    assert shop.subscription(name).status == "active"
    assert shop.invoices(customer)[-1].status == "paid"
    assert not shop.v1.customers.retrieve(customer).delinquent


def test_the_hosted_invoice_page_takes_another_card_and_keeps_it(shop: Shop) -> None:
    customer, name = overdue(shop)
    invoice = shop.invoices(customer)[-1]
    assert (invoice.hosted_invoice_url or "").endswith(f"/i/{invoice.id}")

    declined = invoices.pay_hosted(shop.sim, invoice.id, card=card("4000000000009995"))
    assert (declined.status, declined.decline_code) == ("declined", "insufficient_funds")
    assert invoices.pay_hosted(shop.sim, invoice.id, card=card()).status == "paid"

    paid = shop.subscription(name)
    assert paid.status == "active"
    assert paid.default_payment_method is not None
    with pytest.raises(checkout.NotOpen):
        invoices.pay_hosted(shop.sim, invoice.id, card=card())


def test_a_renewal_whose_bank_asks_waits_for_its_customer(shop: Shop) -> None:
    customer, name = overdue(shop, "pm_card_authenticationRequired")
    assert shop.subscription(name).status == "past_due"
    assert "invoice.payment_action_required" in shop.happened()

    invoice = shop.v1.invoices.retrieve(shop.invoices(customer)[-1].id, {"expand": ["payments"]})
    assert invoice.payments is not None
    intent = str(invoice.payments.data[0].payment.payment_intent)
    assert shop.v1.payment_intents.retrieve(intent).status == "requires_action"
    assert checkout.finish_authentication(shop.sim, intent, ok=True).status == "paid"

    assert shop.subscription(name).status == "active"


def test_a_card_set_up_once_renews_without_asking_again(shop: Shop) -> None:
    customer = shop.customer()
    asked = shop.pay(shop.session(shop.price(), customer=customer), "4000002500003155")
    checkout.finish_authentication(shop.sim, asked.intent or "", ok=True)

    shop.advance(days=32)

    assert [invoice.status for invoice in shop.invoices(customer)] == ["paid", "paid"]


def test_paying_an_invoice_with_a_bad_card_says_why(shop: Shop) -> None:
    customer, _ = overdue(shop)

    with pytest.raises(stripe.CardError) as refusal:
        shop.v1.invoices.pay(shop.invoices(customer)[-1].id)

    assert refusal.value.http_status == 402
    assert refusal.value.code == "card_declined"
    assert refusal.value.error is not None and refusal.value.error.decline_code == "generic_decline"


def test_a_voided_invoice_is_not_collected_any_more(shop: Shop) -> None:
    customer, name = overdue(shop)
    invoice = shop.invoices(customer)[-1].id

    assert shop.v1.invoices.void_invoice(invoice).status == "void"
    shop.advance(days=20)

    assert shop.happened().count("invoice.payment_failed") == 1
    assert shop.subscription(name).status == "past_due"
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.invoices.pay(invoice)


def test_collection_can_be_paused(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = shop.subscribe(shop.price(), customer=customer).id
    shop.v1.subscriptions.update(name, {"pause_collection": {"behavior": "void"}})

    shop.advance(days=32)

    assert shop.subscription(name).status == "active"
    assert shop.invoices(customer)[-1].status == "void"
