"""When a subscription is billed: on a day of one's own, from now, or as it was; and what else is on its invoices."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from simulator.billing_engine import money
from tests.simulator.shop import DAY, NEW_YEAR, Shop, at


def test_a_cycle_that_begins_later_charges_for_the_days_until_then(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")

    subscription = shop.subscribe(shop.price(2800), customer=customer, billing_cycle_anchor=at(2026, 2, 10))

    assert subscription.billing_cycle_anchor == at(2026, 2, 10)
    share = money.share(2800, at(2026, 2, 10) - NEW_YEAR, at(2026, 2, 10) - at(2026, 1, 10))
    assert shop.invoices(customer)[0].amount_paid == share
    shop.advance(days=11)
    assert [one.amount_paid for one in shop.invoices(customer)] == [share, 2800]


def test_the_days_until_the_cycle_may_be_free(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")

    shop.subscribe(
        shop.price(2800),
        customer=customer,
        billing_cycle_anchor=at(2026, 2, 10),
        proration_behavior="none",
    )
    shop.advance(days=11)

    assert [one.amount_paid for one in shop.invoices(customer)] == [0, 2800]


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ({"day_of_month": 15}, at(2026, 2, 15)),
        ({"day_of_month": 31, "hour": 11}, at(2026, 2, 28, 11)),
        ({"day_of_month": 31, "hour": 12, "minute": 0, "second": 0}, at(2026, 1, 31, 12)),
        ({"day_of_month": 1, "hour": 0, "minute": 0, "second": 0}, at(2026, 2, 1, 0)),
        ({"day_of_month": 4, "month": 7}, at(2026, 7, 4)),
    ],
)
def test_a_cycle_is_anchored_by_day_and_hour(shop: Shop, config: dict[str, int], first: int) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    every = "year" if "month" in config else "month"

    subscription = shop.subscribe(
        shop.price(2800, every=every), customer=customer, billing_cycle_anchor_config=config
    )

    assert subscription.billing_cycle_anchor == first


@pytest.mark.parametrize(
    "wrong",
    [
        {"billing_cycle_anchor_config": {"day_of_month": 32}},
        {"billing_cycle_anchor_config": {"day_of_month": 1, "hour": 24}},
        {"billing_cycle_anchor_config": {"hour": 3}},
        {"billing_cycle_anchor_config": {"day_of_month": 1}, "billing_cycle_anchor": NEW_YEAR + DAY},
        {"billing_cycle_anchor": NEW_YEAR - 1},
    ],
)
def test_an_anchor_that_is_no_moment_is_refused(shop: Shop, wrong: dict[str, Any]) -> None:
    customer = shop.customer(pays_with="pm_card_visa")

    with pytest.raises(stripe.InvalidRequestError):
        shop.subscribe(shop.price(), customer=customer, **wrong)

    assert shop.v1.subscriptions.list({"customer": customer}).data == []


@pytest.mark.parametrize(("prorates", "amount"), [("create_prorations", 2800 - 1400), ("none", 2800)])
def test_a_cycle_may_be_started_anew_today(shop: Shop, prorates: str, amount: int) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    shop.advance(days=14)

    change: Any = {"billing_cycle_anchor": "now", "proration_behavior": prorates}
    seen = shop.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": change})
    after = shop.v1.subscriptions.update(subscription.id, change)

    assert after.billing_cycle_anchor == NEW_YEAR + 14 * DAY
    assert (shop.invoices(customer)[-1].amount_paid, seen.total) == (amount, amount)


def test_a_cycle_left_as_it_is_costs_nothing(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    shop.advance(days=14)

    after = shop.v1.subscriptions.update(subscription.id, {"billing_cycle_anchor": "unchanged"})

    assert after.billing_cycle_anchor == NEW_YEAR
    assert len(shop.invoices(customer)) == 1


def test_a_set_up_fee_is_on_the_first_invoice_and_on_no_other(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    fee = shop.v1.prices.create(
        {
            "product": shop.v1.products.create({"name": "Set-up"}).id,
            "currency": "usd",
            "unit_amount": 5000,
        }
    ).id

    shop.subscribe(shop.price(2800), customer=customer, add_invoice_items=[{"price": fee, "quantity": 2}])
    shop.advance(days=29)

    first, second = shop.invoices(customer)
    assert [(line.description, line.amount) for line in first.lines.data] == [
        ("Set-up", 10000),
        ("1 × Pro (at $28.00 / month)", 2800),
    ]
    assert (first.amount_paid, second.amount_paid) == (12800, 2800)


@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations"])
def test_something_extra_added_with_a_change_is_billed_with_it(shop: Shop, behavior: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2800), customer=customer)
    product = shop.v1.products.create({"name": "Training"}).id
    shop.advance(days=14)
    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "quantity": 2}],
        "proration_behavior": behavior,
        "add_invoice_items": [{"price_data": {"product": product, "currency": "usd", "unit_amount": 700}}],
    }

    shop.v1.subscriptions.update(subscription.id, change)
    if behavior == "create_prorations":
        assert len(shop.invoices(customer)) == 1
        shop.advance(days=15)

    charged = shop.invoices(customer)[-1]
    assert charged.amount_paid == 1400 + 700 + (5600 if behavior == "create_prorations" else 0)
