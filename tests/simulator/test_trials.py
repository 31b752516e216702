"""Trials: what they cost, when they end, and what they end in when there is no card."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.shop import DAY, NEW_YEAR, Shop


def on_trial(shop: Shop, behavior: str, customer: str | None = None, **more: Any) -> str:
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    return shop.subscribe(
        shop.price(2900),
        customer=customer or shop.customer(),
        trial_period_days=14,
        trial_settings=settings,
        **more,
    ).id


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("pause", "paused", "customer.subscription.paused"),
        ("cancel", "canceled", "customer.subscription.deleted"),
    ],
)
def test_a_trial_without_a_card_ends_as_agreed_on_its_day_or_by_hand(
    shop: Shop, behavior: str, status: str, event: str, by_hand: bool
) -> None:
    name = on_trial(shop, behavior)

    if by_hand:
        shop.advance(days=3)
        shop.v1.subscriptions.update(name, {"trial_end": "now"})
    else:
        shop.advance(days=15)

    ended = shop.subscription(name)
    assert ended.status == status
    assert shop.happened().count(event) == 1
    assert [invoice.total for invoice in shop.v1.invoices.list({"subscription": name}).data] == [0]
    if by_hand and behavior == "pause":
        assert ended.trial_end == NEW_YEAR + 3 * DAY


def test_a_paused_trial_bills_nothing_until_it_is_resumed_with_a_card(shop: Shop) -> None:
    customer = shop.customer()
    name = on_trial(shop, "pause", customer)
    shop.advance(days=15)
    shop.advance(days=40)
    assert len(shop.invoices(customer)) == 1

    shop.give_card(customer, "pm_card_visa")
    resumed = shop.v1.subscriptions.resume(name)
    shop.advance(hours=2)

    assert resumed.billing_cycle_anchor == NEW_YEAR + 55 * DAY
    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [0, 2900]
    assert "customer.subscription.resumed" in shop.happened()


def test_a_trial_ended_by_hand_is_charged_at_once_and_its_period_starts_then(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = on_trial(shop, "cancel", customer)
    shop.advance(days=4)

    after = shop.v1.subscriptions.update(name, {"trial_end": "now"})

    assert (after.status, after.billing_cycle_anchor) == ("active", NEW_YEAR + 4 * DAY)
    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [0, 2900]


def test_a_longer_trial_moves_the_first_charge(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    name = on_trial(shop, "cancel", customer)
    shop.advance(days=10)

    shop.v1.subscriptions.update(name, {"trial_end": NEW_YEAR + 30 * DAY, "proration_behavior": "none"})
    shop.advance(days=19)
    assert shop.subscription(name).status == "trialing"
    shop.advance(days=1, hours=2)

    assert shop.subscription(name).status == "active"
    assert shop.invoices(customer)[-1].amount_paid == 2900
