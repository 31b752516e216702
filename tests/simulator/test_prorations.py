"""Half a month's change costs half its difference, whatever the shape of the price."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.shop import Shop, at

TIERS = [{"up_to": 5, "unit_amount": 1000, "flat_amount": 200}, {"up_to": "inf", "unit_amount": 800}]
SHAPES: dict[str, dict[str, Any]] = {
    "per_unit": {"unit_amount": 1000},
    "graduated": {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS},
    "volume": {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS},
    "packs_up": {"unit_amount": 3000, "transform_quantity": {"divide_by": 4, "round": "up"}},
    "packs_down": {"unit_amount": 3000, "transform_quantity": {"divide_by": 4, "round": "down"}},
}
# What three and what nine cost for a month.
FULL = {
    "per_unit": (3000, 9000),
    "graduated": (3 * 1000 + 200, 5 * 1000 + 200 + 4 * 800),
    "volume": (3 * 1000 + 200, 9 * 800),
    "packs_up": (3000, 9000),
    "packs_down": (0, 6000),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("behavior", ["always_invoice", "create_prorations", "none"])
def test_more_units_midway_cost_their_share(shop: Shop, shape: str, behavior: str) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    product = shop.v1.products.create({"name": "Seats"}).id
    terms: Any = {"product": product, "currency": "usd", "recurring": {"interval": "month"}, **SHAPES[shape]}
    price = shop.v1.prices.create(terms).id
    subscription = shop.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price, "quantity": 3}]}
    )
    shop.advance(days=14)  # half of the 28 days

    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "quantity": 9}],
        "proration_behavior": behavior,
    }
    shop.v1.subscriptions.update(subscription.id, change)

    few, many = FULL[shape]
    owed = {"always_invoice": 0, "create_prorations": many // 2 - few // 2, "none": 0}[behavior]
    if behavior == "always_invoice":
        assert [line.amount for line in shop.invoices(customer)[-1].lines.data] == [-(few // 2), many // 2]
    shop.advance(to=at(2026, 2, 28, 14))
    assert shop.invoices(customer)[-1].total == many + owed


def test_a_change_taken_back_the_same_second_costs_nothing(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(2999), customer=customer)
    item, dear = subscription["items"].data[0].id, shop.price(7777)
    shop.advance(days=9, hours=5)

    for price in (dear, subscription["items"].data[0].price.id):
        shop.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": price}]})

    shop.advance(to=at(2026, 2, 28, 14))
    renewal = shop.invoices(customer)[-1]
    assert (renewal.total, len(renewal.lines.data)) == (2999, 5)


def test_a_draft_by_hand_that_advances_is_final_and_charged_after_an_hour(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    invoice = shop.v1.invoices.create({"customer": customer, "auto_advance": True})
    kept = shop.v1.invoices.create({"customer": customer, "auto_advance": False})
    for name in (invoice.id, kept.id):
        shop.v1.invoices.add_lines(name, {"lines": [{"amount": 500, "description": "Work"}]})

    shop.advance(hours=1)

    assert shop.v1.invoices.retrieve(invoice.id).status == "paid"
    assert shop.v1.invoices.retrieve(kept.id).status == "draft"


def test_a_deleted_customer_is_billed_no_more_and_keeps_nothing_alive(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(), customer=customer)
    shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    shop.v1.invoices.create({"customer": customer, "auto_advance": True})

    shop.v1.customers.delete(customer)
    shop.advance(days=40)

    assert shop.subscription(subscription.id).status == "canceled"
    assert [one.status for one in shop.v1.subscription_schedules.list().data] == ["canceled"]
    assert [charge.created for charge in shop.v1.charges.list().data] == [at(2026, 1, 31)]
    assert "invoice.finalized" not in shop.happened()[shop.happened().index("customer.deleted") :]
