"""Paid from a bank account: the bank answers later, well or not, and everybody hears of it."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import Shop

GOES_THROUGH, COMES_BACK = "AT611904300234573201", "AT861904300235473202"
SLOWLY = "AT321904300235473204"
WHO = {"name": "Kim", "email": "kim@example.com"}


def account(shop: Shop, iban: str = GOES_THROUGH) -> stripe.PaymentMethod:
    return shop.v1.payment_methods.create(
        {"type": "sepa_debit", "sepa_debit": {"iban": iban}, "billing_details": WHO}  # type: ignore[typeddict-item]
    )


def customer_with(shop: Shop, iban: str) -> str:
    customer = shop.customer()
    method = account(shop, iban).id
    shop.v1.payment_methods.attach(method, {"customer": customer})
    shop.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    return customer


def intent(shop: Shop, iban: str, **more: Any) -> stripe.PaymentIntent:
    given: dict[str, Any] = {
        "amount": 1000,
        "currency": "eur",
        "payment_method_types": ["sepa_debit"],
        "payment_method": account(shop, iban).id,
        "confirm": True,
    }
    return shop.v1.payment_intents.create(given | more)  # type: ignore[arg-type]


def test_an_account_says_its_country_and_last_digits_and_nothing_more(shop: Shop) -> None:
    method = account(shop)

    assert (method.type, "card" in method.to_dict()) == ("sepa_debit", False)
    assert method.sepa_debit is not None
    assert (method.sepa_debit.country, method.sepa_debit.last4) == ("AT", "3201")


@pytest.mark.parametrize("iban", ["AT611904300234573202", "nonsense", "DE"])
def test_an_iban_with_a_slip_is_refused(shop: Shop, iban: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        account(shop, iban)

    assert refusal.value.code == "invalid_bank_account_iban"


def test_a_debit_is_processing_until_the_bank_has_answered(shop: Shop) -> None:
    customer = shop.customer()
    name = intent(shop, SLOWLY, customer=customer).id
    assert shop.v1.payment_intents.retrieve(name).status == "processing"
    charge = shop.v1.charges.list({"payment_intent": name}).data[0]
    assert (charge.status, charge.paid) == ("pending", False)

    shop.advance(hours=1)

    assert shop.v1.payment_intents.retrieve(name).status == "succeeded"
    assert shop.v1.charges.retrieve(charge.id).paid
    told = shop.happened()
    assert told.index("payment_intent.processing") < told.index("payment_intent.succeeded")


def test_a_debit_that_comes_back_leaves_the_payment_open_for_another_try(shop: Shop) -> None:
    name = intent(shop, COMES_BACK, customer=shop.customer()).id

    shop.advance(hours=1)

    failed = shop.v1.payment_intents.retrieve(name)
    assert (failed.status, failed.amount_received) == ("requires_payment_method", 0)
    assert shop.v1.balance.retrieve().available[0].amount == 0


def test_a_debit_is_in_euros_and_only_where_it_is_taken(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="eur"):
        intent(shop, GOES_THROUGH, currency="usd")
    with pytest.raises(stripe.InvalidRequestError, match="not allowed"):
        intent(shop, GOES_THROUGH, payment_method_types=["card"])


@pytest.mark.parametrize(
    ("iban", "status", "invoice"), [(SLOWLY, "active", "paid"), (COMES_BACK, "past_due", "open")]
)
def test_a_subscription_runs_while_the_bank_is_asked_and_then_as_it_answers(
    shop: Shop, iban: str, status: str, invoice: str
) -> None:
    customer = customer_with(shop, iban)
    name = shop.subscribe(shop.price(1900, currency="eur"), customer=customer).id
    assert shop.subscription(name).status == "active"
    assert shop.invoices(customer)[0].status == "open"

    shop.advance(hours=1)

    assert shop.subscription(name).status == status
    assert shop.invoices(customer)[0].status == invoice


@pytest.mark.parametrize(("iban", "outcome"), [(GOES_THROUGH, "succeeded"), (COMES_BACK, "failed")])
@pytest.mark.parametrize("mode", ["payment", "subscription"])
def test_a_checkout_is_complete_before_it_is_paid(shop: Shop, iban: str, outcome: str, mode: str) -> None:
    customer = shop.customer()
    recurring = {"recurring": {"interval": "month"}} if mode == "subscription" else {"recurring": None}
    terms = {key: value for key, value in {"currency": "eur", **recurring}.items() if value}
    product = shop.v1.products.create({"name": "Pro"}).id
    price = shop.v1.prices.create({"product": product, "unit_amount": 1500, **terms}).id  # type: ignore[typeddict-item]
    session = shop.session(price, customer=customer, mode=mode, payment_method_types=["card", "sepa_debit"])
    shop.api.raw_request(
        "post",
        f"/v1/payment_pages/{session}/confirm",
        payment_method=account(shop, iban).id,
        expected_amount=1500,
    )
    done = shop.v1.checkout.sessions.retrieve(session)
    assert (done.status, done.payment_status) == ("complete", "unpaid")

    shop.advance(hours=1)

    wanted = "paid" if outcome == "succeeded" else "unpaid"
    assert shop.v1.checkout.sessions.retrieve(session).payment_status == wanted
    assert shop.happened().count(f"checkout.session.async_payment_{outcome}") == 1
