"""Changes agreed on today that happen later: phases, one after the other, by the clock."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import DAY, NEW_YEAR, Shop, at


def phase(price: str, *, months: int = 1, **more: Any) -> Any:
    return {
        "items": [{"price": price, "quantity": 1}],
        "duration": {"interval": "month", "interval_count": months},
        **more,
    }


def prices_paid(shop: Shop, customer: str) -> list[int]:
    return [invoice.amount_paid for invoice in shop.invoices(customer)]


def test_a_cheaper_plan_begins_when_the_paid_period_is_over(shop: Shop) -> None:
    """The scheduled downgrade: from the running subscription, with a second phase."""
    customer = shop.customer(pays_with="pm_card_visa")
    pro, basic = shop.price(2900), shop.price(900)
    subscription = shop.subscribe(pro, customer=customer)
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert shop.v1.subscriptions.retrieve(subscription.id).schedule == schedule.id
    running = schedule.phases[0]

    shop.v1.subscription_schedules.update(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": pro, "quantity": 1}],
                    "start_date": running.start_date,
                    "end_date": running.end_date,
                },
                phase(basic),
            ],
        },
    )
    assert shop.subscription(subscription.id)["items"].data[0].price.id == pro
    shop.advance(days=29)

    after = shop.subscription(subscription.id)
    assert after["items"].data[0].price.id == basic
    assert prices_paid(shop, customer) == [2900, 900]
    shop.advance(to=at(2026, 3, 31, 14))
    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "released"
    assert shop.subscription(subscription.id).schedule is None
    assert prices_paid(shop, customer) == [2900, 900, 900]


def test_a_schedule_starts_its_subscription_on_the_day_and_ends_it(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    begins = NEW_YEAR + 5 * DAY
    schedule = shop.v1.subscription_schedules.create(
        {
            "customer": customer,
            "start_date": begins,
            "end_behavior": "cancel",
            "phases": [phase(shop.price(1000)), phase(shop.price(2000), metadata={"tier": "big"})],
        }
    )
    assert (schedule.status, schedule.subscription) == ("not_started", None)
    assert [one.id for one in shop.v1.subscription_schedules.list({"scheduled": True}).data] == [schedule.id]

    shop.advance(days=6)
    running = shop.v1.subscription_schedules.retrieve(schedule.id, {"expand": ["subscription"]})
    assert running.status == "active"
    assert running.subscription.status == "active"  # type: ignore[union-attr]
    assert running.current_phase is not None and running.current_phase.start_date == begins
    shop.advance(days=31)
    name = str(shop.v1.subscription_schedules.retrieve(schedule.id).subscription)
    assert shop.subscription(name).metadata.to_dict() == {"tier": "big"}
    shop.advance(days=31)

    assert prices_paid(shop, customer) == [1000, 2000]
    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "completed"
    assert shop.subscription(name).status == "canceled"
    assert "subscription_schedule.completed" in shop.happened()


def test_a_change_of_the_running_phase_holds_at_once_and_is_prorated(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    small, big = shop.price(1000), shop.price(3000)
    schedule = shop.v1.subscription_schedules.create(
        {"customer": customer, "start_date": "now", "phases": [phase(small, months=2)]}
    )
    shop.advance(days=14)

    shop.v1.subscription_schedules.update(
        schedule.id, {"phases": [phase(big, months=2)], "proration_behavior": "always_invoice"}
    )

    assert shop.subscription(str(schedule.subscription))["items"].data[0].price.id == big
    assert prices_paid(shop, customer) == [1000, 1000]


def test_a_released_subscription_goes_on_and_a_canceled_one_does_not(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    kept, gone = (
        shop.v1.subscription_schedules.create(
            {"customer": customer, "start_date": "now", "phases": [phase(shop.price(1000))]}
        )
        for _ in range(2)
    )

    shop.v1.subscription_schedules.release(kept.id)
    shop.v1.subscription_schedules.cancel(gone.id)

    assert shop.subscription(str(kept.subscription)).status == "active"
    assert shop.subscription(str(gone.subscription)).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="released"):
        shop.v1.subscription_schedules.release(kept.id)


def test_canceling_the_subscription_ends_its_schedule(shop: Shop) -> None:
    subscription = shop.subscribe(shop.price(), customer=shop.customer(pays_with="pm_card_visa"))
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="already managed"):
        shop.v1.subscription_schedules.create({"from_subscription": subscription.id})

    shop.v1.subscriptions.cancel(subscription.id)

    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "canceled"


def test_the_next_invoice_of_a_schedule_is_that_of_its_next_phase(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    pro, basic = shop.price(2900), shop.price(900)
    subscription = shop.subscribe(pro, customer=customer)
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    running = schedule.phases[0]
    now = {
        "items": [{"price": pro, "quantity": 1}],
        "start_date": running.start_date,
        "end_date": running.end_date,
    }
    shop.v1.subscription_schedules.update(schedule.id, {"phases": [now, phase(basic)]})

    preview = shop.v1.invoices.create_preview({"schedule": schedule.id})

    assert preview.amount_due == 900
    shop.advance(days=29)
    assert prices_paid(shop, customer) == [2900, preview.amount_due]


def test_a_schedule_says_a_week_ahead_that_it_ends_and_then_that_it_is_complete(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    schedule = shop.v1.subscription_schedules.create(
        {"customer": customer, "start_date": "now", "phases": [phase(shop.price(1000))]}
    )

    shop.advance(to=at(2026, 2, 21) - 60)
    assert "subscription_schedule.expiring" not in shop.happened()
    shop.advance(hours=1)
    assert shop.happened().count("subscription_schedule.expiring") == 1
    shop.advance(to=at(2026, 2, 28, 14))

    assert shop.happened().count("subscription_schedule.expiring") == 1
    assert "subscription_schedule.completed" in shop.happened()
    ended = shop.v1.subscription_schedules.retrieve(schedule.id)
    assert (ended.status, ended.completed_at) == ("released", at(2026, 2, 28))


def test_a_subscription_that_ends_unpaid_aborts_its_schedule(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    schedule = shop.v1.subscription_schedules.create(
        {"customer": customer, "start_date": "now", "phases": [phase(shop.price(1000), months=6)]}
    )
    shop.give_card(customer, "pm_card_chargeCustomerFail")

    shop.advance(to=at(2026, 3, 20))

    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "canceled"
    assert "subscription_schedule.aborted" in shop.happened()
    assert "subscription_schedule.canceled" not in shop.happened()
