"""One price in several currencies: what each customer pays in theirs, and never a mixture."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import Shop


def sold_everywhere(shop: Shop, dollars: int = 2900, euros: int = 2700, yen: int = 4300) -> str:
    return shop.price(dollars, currency_options={"eur": {"unit_amount": euros}, "jpy": {"unit_amount": yen}})


def test_a_price_tells_all_its_currencies_when_asked(shop: Shop) -> None:
    price: Any = shop.v1.prices.retrieve(sold_everywhere(shop), {"expand": ["currency_options"]})

    options = price.currency_options.to_dict()
    assert {name: one["unit_amount"] for name, one in options.items()} == {
        "usd": 2900,
        "eur": 2700,
        "jpy": 4300,
    }
    assert (price.currency, price.unit_amount) == ("usd", 2900)


def test_a_currency_is_added_later_and_the_own_one_is_not(shop: Shop) -> None:
    name = sold_everywhere(shop)

    shop.v1.prices.update(name, {"currency_options": {"gbp": {"unit_amount": 2500}}})

    price: Any = shop.v1.prices.retrieve(name, {"expand": ["currency_options"]})
    assert sorted(price.currency_options.to_dict()) == ["eur", "gbp", "jpy", "usd"]
    with pytest.raises(stripe.InvalidRequestError, match="own currency"):
        shop.v1.prices.update(name, {"currency_options": {"usd": {"unit_amount": 1}}})


@pytest.mark.parametrize(("currency", "amount"), [(None, 2900), ("eur", 2700), ("jpy", 4300)])
def test_a_subscription_is_billed_and_renewed_in_its_currency(
    shop: Shop, currency: str | None, amount: int
) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    more = {"currency": currency} if currency else {}
    name = shop.subscribe(sold_everywhere(shop), customer=customer, **more).id

    shop.advance(days=30)

    assert shop.subscription(name).currency == (currency or "usd")
    assert [(one.currency, one.amount_paid) for one in shop.invoices(customer)] == [
        (currency or "usd", amount)
    ] * 2


def test_an_upgrade_stays_in_the_currency_it_began_in(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(sold_everywhere(shop), customer=customer, currency="eur")
    item = subscription["items"].data[0].id
    shop.advance(days=14)
    change: Any = {
        "items": [{"id": item, "price": sold_everywhere(shop, 5900, 5500)}],
        "proration_behavior": "always_invoice",
    }
    seen = shop.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": change})

    shop.v1.subscriptions.update(subscription.id, change)

    charged = shop.invoices(customer)[-1]
    assert (charged.currency, charged.amount_paid) == ("eur", 2750 - 1350)
    assert seen.total == charged.total
    with pytest.raises(stripe.InvalidRequestError, match="expected currency: `eur`"):
        shop.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": shop.price(100)}]})


def test_a_price_is_not_sold_in_a_currency_it_does_not_name(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")

    with pytest.raises(stripe.InvalidRequestError, match="only supports"):
        shop.subscribe(sold_everywhere(shop), customer=customer, currency="gbp")

    assert shop.invoices(customer) == []


def test_tiers_and_usage_have_their_own_numbers_in_each_currency(shop: Shop) -> None:
    meter = shop.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    ).id
    product = shop.v1.products.create({"name": "Calls"}).id
    terms: Any = {
        "product": product,
        "currency": "usd",
        "billing_scheme": "tiered",
        "tiers_mode": "graduated",
        "tiers": [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 20}],
        "currency_options": {
            "eur": {"tiers": [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 18}]}
        },
        "recurring": {"interval": "month", "usage_type": "metered", "meter": meter},
    }
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.v1.prices.create(terms).id, customer=customer, currency="eur")
    shop.advance(days=2)
    shop.v1.billing.meter_events.create(
        {"event_name": "calls", "payload": {"stripe_customer_id": customer, "value": "25"}}
    )

    shop.advance(days=28)

    assert shop.invoices(customer)[-1].amount_paid == 15 * 18


def test_a_checkout_shows_and_takes_the_currency_it_was_opened_in(shop: Shop) -> None:
    customer = shop.customer()
    name = shop.session(sold_everywhere(shop), customer=customer, currency="eur")
    session = shop.v1.checkout.sessions.retrieve(name, {"expand": ["line_items"]})
    assert (session.currency, session.amount_total) == ("eur", 2700)

    shop.pay(name)

    paid = shop.invoices(customer)[0]
    assert (paid.currency, paid.amount_paid) == ("eur", 2700)
