"""Changes agreed on today that happen later: phases, one after the other, by the clock."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import DAY, NEW_YEAR, Shop, at
from tests.simulator.test_meters import use


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


def test_what_was_used_before_paying_by_the_unit_began_is_not_on_its_first_invoice(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    pro, by_unit = shop.price(2900), shop.metered()
    subscription = shop.subscribe(pro, customer=customer)
    use(shop, customer, "22")
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    running = {"items": [{"price": pro, "quantity": 1}], "start_date": schedule.phases[0].start_date}
    month = {"interval": "month", "interval_count": 1}
    phases: Any = [
        {**running, "end_date": schedule.phases[0].end_date},
        {"items": [{"price": by_unit}], "duration": month, "proration_behavior": "none"},
    ]
    shop.v1.subscription_schedules.update(schedule.id, {"phases": phases})

    shop.advance(to=at(2026, 2, 28, 14))
    use(shop, customer, "3")
    shop.advance(to=at(2026, 3, 31, 14))

    assert prices_paid(shop, customer) == [2900, 0, 150]


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


def scheduled(shop: Shop, customer: str, *phases: Any, **more: Any) -> stripe.SubscriptionSchedule:
    given: Any = {"customer": customer, "start_date": "now", "phases": list(phases), **more}
    return shop.v1.subscription_schedules.create(given)


def one_time(shop: Shop, amount: int) -> str:
    product = shop.v1.products.create({"name": "Set-up"}).id
    return shop.v1.prices.create({"product": product, "currency": "usd", "unit_amount": amount}).id


def test_what_a_phase_adds_is_charged_once_as_it_begins(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    schedule = scheduled(
        shop,
        customer,
        phase(shop.price(1000), add_invoice_items=[{"price": one_time(shop, 500)}]),
        phase(shop.price(2000), months=2, add_invoice_items=[{"price": one_time(shop, 70), "quantity": 2}]),
    )
    assert schedule.phases[1].add_invoice_items[0].quantity == 2

    shop.advance(days=10)
    seen = shop.v1.invoices.create_preview({"schedule": schedule.id})
    shop.advance(to=at(2026, 2, 28, 14))
    shop.advance(to=at(2026, 3, 31, 14))

    assert prices_paid(shop, customer) == [1500, 2140, 2000]
    assert seen.total == 2140


def test_each_phase_has_its_own_taxes_and_what_it_leaves_open_is_as_agreed_for_all(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    high = shop.v1.tax_rates.create({"display_name": "High", "percentage": 20, "inclusive": False}).id
    low = shop.v1.tax_rates.create({"display_name": "Low", "percentage": 5, "inclusive": False}).id
    price = shop.price(1000)
    reduced = phase(price)
    reduced["items"][0]["tax_rates"] = [low]
    scheduled(
        shop,
        customer,
        phase(price, default_tax_rates=[high]),
        reduced,
        phase(price, automatic_tax={"enabled": True}),
        default_settings={"description": "Three months"},
    )

    for days in (29, 31, 30):
        shop.advance(days=days)

    assert prices_paid(shop, customer)[:3] == [1200, 1050, 1100]
    assert shop.invoices(customer)[0].description == "Three months"


def test_a_phase_may_be_a_trial(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    price = shop.price(1000)
    schedule = scheduled(shop, customer, phase(price, trial=True), phase(price))
    assert shop.subscription(str(schedule.subscription)).status == "trialing"

    shop.advance(to=at(2026, 2, 28, 14))

    assert shop.subscription(str(schedule.subscription)).status == "active"
    assert prices_paid(shop, customer) == [0, 1000]


def test_a_phase_may_start_the_billing_cycle_anew(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    begins = NEW_YEAR + 10 * DAY
    schedule = scheduled(
        shop,
        customer,
        {"items": [{"price": shop.price(2800)}], "end_date": begins},
        phase(shop.price(5600), billing_cycle_anchor="phase_start", proration_behavior="none"),
    )

    shop.advance(days=11)

    assert shop.subscription(str(schedule.subscription)).billing_cycle_anchor == begins
    assert prices_paid(shop, customer) == [2800, 5600]


def test_a_schedule_taken_from_a_subscription_leaves_everything_as_it_was(shop: Shop) -> None:
    customer = shop.customer()
    rate = shop.v1.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": False}).id
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    price = shop.price(1000)
    subscription = shop.subscribe(
        price,
        customer=customer,
        collection_method="send_invoice",
        days_until_due=14,
        default_tax_rates=[rate],
        discounts=[{"coupon": coupon}],
        metadata={"deal": "big"},
        description="As agreed",
    )
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    running = schedule.phases[0]
    assert [one.id for one in running.default_tax_rates or []] == [rate]

    now = {"items": [{"price": price, "quantity": 1}], "start_date": running.start_date}
    given: Any = {"phases": [now | {"end_date": running.end_date}, phase(price, months=2)]}
    shop.v1.subscription_schedules.update(schedule.id, given)
    shop.advance(to=at(2026, 2, 28, 14))

    after = shop.subscription(subscription.id)
    assert (after.collection_method, after.days_until_due, after.description) == (
        "send_invoice",
        14,
        "As agreed",
    )
    assert [invoice.total for invoice in shop.invoices(customer)] == [600, 600]


def test_a_discount_that_a_phase_names_by_itself_is_not_given_again_when_it_is_over(shop: Shop) -> None:
    """https://docs.stripe.com/api/subscription_schedules/object#subscription_schedule_object-phases-discounts"""
    customer = shop.customer(pays_with="pm_card_visa")
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 1}).id
    pro, basic = shop.price(2000), shop.price(1000)
    subscription = shop.subscribe(pro, customer=customer, discounts=[{"coupon": coupon}])
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    running = schedule.phases[0]
    as_it_is = {"discounts": [{"discount": str(subscription.discounts[0])}]}
    now = {"items": [{"price": pro, "quantity": 1}], "start_date": running.start_date, **as_it_is}
    shop.v1.subscription_schedules.update(
        schedule.id, {"phases": [now | {"end_date": at(2026, 3, 31, 12)}, phase(basic, **as_it_is)]}
    )
    shop.advance(to=at(2026, 2, 28, 14))
    shop.advance(to=at(2026, 3, 31, 14))

    assert prices_paid(shop, customer) == [1000, 2000, 1000]
    assert shop.subscription(subscription.id).discounts == []


def test_a_schedule_may_run_in_another_currency(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_visa")
    price = shop.price(1000, currency_options={"eur": {"unit_amount": 900}})

    scheduled(shop, customer, phase(price, currency="eur"))

    assert [(one.currency, one.amount_paid) for one in shop.invoices(customer)] == [("eur", 900)]
