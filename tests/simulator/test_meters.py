"""Usage: reported as meter events, added up, and billed when the period is over."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.simulator.shop import DAY, NEW_YEAR, Shop, at


def use(
    shop: Shop, customer: str, value: str, *, at: int | None = None, identifier: str | None = None
) -> None:
    params = {"event_name": "tokens", "payload": {"stripe_customer_id": customer, "value": value}}
    if at is not None:
        params["timestamp"] = at  # type: ignore[assignment]
    if identifier is not None:
        params["identifier"] = identifier
    shop.v1.billing.meter_events.create(params)  # type: ignore[arg-type]


@pytest.fixture
def kim(shop: Shop) -> str:
    """Kim pays 50 cents a token."""
    customer = shop.customer(pays_with="pm_card_visa")
    shop.subscribe(shop.metered(), customer=customer)
    return customer


def test_nothing_is_paid_before_it_is_used(shop: Shop, kim: str) -> None:
    invoice = shop.invoices(kim)[0]

    assert (invoice.amount_due, invoice.status) == (0, "paid")
    assert shop.v1.subscriptions.list({"customer": kim}).data[0].status == "active"


def test_what_was_used_is_on_the_next_invoice(shop: Shop, kim: str) -> None:
    shop.advance(days=5)
    use(shop, kim, "7")
    use(shop, kim, "3")

    shop.advance(to=at(2026, 2, 28, 14))

    invoice = shop.invoices(kim)[-1]
    line = invoice.lines.data[0]
    assert (line.quantity, line.amount, invoice.amount_paid) == (10, 500, 500)
    assert line.description == "10 × Tokens (at $0.50 / month)"
    assert (line.period.start, line.period.end) == (NEW_YEAR, at(2026, 2, 28))


def test_what_is_used_in_the_second_its_price_is_replaced_is_billed_once(shop: Shop, kim: str) -> None:
    subscription = shop.v1.subscriptions.list({"customer": kim}).data[0]
    old = subscription["items"].data[0]
    meter = old.price.recurring.meter  # type: ignore[union-attr]
    recurring: Any = {"interval": "month", "usage_type": "metered", "meter": meter}
    dearer = shop.v1.prices.create(
        {"product": str(old.price.product), "currency": "usd", "unit_amount": 60, "recurring": recurring}
    )
    shop.advance(days=5)
    use(shop, kim, "7")

    # The clock stands still: all of it is the one second in which the period begins anew.
    change: Any = {
        "items": [{"id": old.id, "deleted": True}, {"price": dearer.id}],
        "billing_cycle_anchor": "now",
    }
    shop.v1.subscriptions.update(subscription.id, change)
    shop.advance(days=40)

    billed = [line.quantity for invoice in shop.invoices(kim) for line in invoice.lines.data]
    assert sum(quantity or 0 for quantity in billed) == 7
    # Periods are half-open, so it is the one's that begins.
    assert [invoice.total for invoice in shop.invoices(kim)] == [0, 420]


def test_usage_that_comes_late_still_makes_the_draft(shop: Shop, kim: str) -> None:
    shop.advance(to=at(2026, 2, 28) + 600)
    use(shop, kim, "4", at=at(2026, 2, 28) - 60)

    shop.advance(hours=1)

    assert shop.invoices(kim)[-1].amount_paid == 200


def test_usage_belongs_to_the_period_it_happened_in(shop: Shop, kim: str) -> None:
    shop.advance(to=at(2026, 2, 28) + 600)
    use(shop, kim, "4", at=at(2026, 2, 28))

    shop.advance(to=at(2026, 3, 31, 14))

    assert [invoice.amount_paid for invoice in shop.invoices(kim)] == [0, 0, 200]


def test_an_identifier_counts_once_a_day(shop: Shop, kim: str) -> None:
    use(shop, kim, "1", identifier="record-1")

    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier"):
        use(shop, kim, "1", identifier="record-1")


@pytest.mark.parametrize("moment", [NEW_YEAR - 36 * DAY, NEW_YEAR + 6 * 60])
def test_usage_too_old_or_not_yet_is_refused(shop: Shop, kim: str, moment: int) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="too far in the"):
        use(shop, kim, "1", at=moment)


@pytest.mark.parametrize(
    ("who", "value", "code"),
    [
        ("cus_nobody", "1", "meter_event_customer_not_found"),
        ("", "1", "meter_event_no_customer_defined"),
        ("kim", "many", "meter_event_invalid_value"),
        ("kim", "-1", "meter_event_invalid_value"),
    ],
)
def test_usage_that_cannot_be_counted_is_taken_in_and_reported_afterwards(
    shop: Shop, kim: str, who: str, value: str, code: str
) -> None:
    door = shop.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/hook", "enabled_events": ["*"]})

    use(shop, kim if who == "kim" else who, value, identifier="odd-1")

    (letter,) = shop.sim.deliveries.take()
    note = shop.api.parse_event_notification(
        letter.body(), letter.headers()["Stripe-Signature"], str(door.secret)
    )
    assert isinstance(note, stripe.events.V1BillingMeterErrorReportTriggeredEventNotification)
    assert "data" not in letter.event
    told = note.fetch_event().data
    assert [(one.code, one.error_count) for one in told.reason.error_types] == [(code, 1)]
    assert told.reason.error_types[0].sample_errors[0]["request"].identifier == "odd-1"
    assert note.fetch_related_object().event_name == "tokens"
    shop.advance(to=at(2026, 2, 28, 14))
    assert shop.invoices(kim)[-1].amount_paid == 0


def test_usage_of_something_not_measured_is_refused(shop: Shop, kim: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
        shop.v1.billing.meter_events.create(
            {"event_name": "unicorns", "payload": {"stripe_customer_id": kim, "value": "1"}}
        )


def test_a_summary_adds_up_what_was_reported(shop: Shop, kim: str) -> None:
    meter = shop.v1.billing.meters.list().data[0].id
    use(shop, kim, "2", at=NEW_YEAR)
    use(shop, kim, "5", at=NEW_YEAR - 2 * 3600)
    start = NEW_YEAR - DAY

    whole = shop.v1.billing.meters.event_summaries.list(
        meter, {"customer": kim, "start_time": start, "end_time": NEW_YEAR + 3600}
    )
    hourly = shop.v1.billing.meters.event_summaries.list(
        meter,
        {"customer": kim, "start_time": start, "end_time": NEW_YEAR + 3600, "value_grouping_window": "hour"},
    )

    assert [summary.aggregated_value for summary in whole.data] == [7]
    assert [(found.start_time, found.aggregated_value) for found in hourly.data] == [
        (NEW_YEAR, 2),
        (NEW_YEAR - 2 * 3600, 5),
    ]


def test_a_reported_event_can_be_taken_back(shop: Shop, kim: str) -> None:
    use(shop, kim, "8", identifier="mistake")
    shop.v1.billing.meter_event_adjustments.create(
        {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": "mistake"}}
    )

    shop.advance(to=at(2026, 2, 28, 14))

    assert shop.invoices(kim)[-1].amount_paid == 0


def test_leaving_settles_what_was_used(shop: Shop, kim: str) -> None:
    name = shop.v1.subscriptions.list({"customer": kim}).data[0].id
    use(shop, kim, "6", at=NEW_YEAR)
    shop.advance(days=3)

    shop.v1.subscriptions.cancel(name, {"invoice_now": True})

    assert shop.invoices(kim)[-1].amount_paid == 300


def test_a_meter_can_be_put_to_rest_and_its_event_name_is_taken(shop: Shop, kim: str) -> None:
    meter = shop.v1.billing.meters.list({"status": "active"}).data[0]
    with pytest.raises(stripe.InvalidRequestError, match="already an active meter"):
        shop.metered()

    assert shop.v1.billing.meters.deactivate(meter.id).status == "inactive"
    with pytest.raises(stripe.InvalidRequestError, match="No active meter"):
        use(shop, kim, "1")
    assert shop.v1.billing.meters.reactivate(meter.id).status == "active"


def test_tiers_and_packs_are_priced_as_they_say(shop: Shop) -> None:
    product = shop.v1.products.create({"name": "Seats"}).id
    recurring = {"interval": "month"}
    tiers = [{"up_to": 5, "unit_amount": 1000}, {"up_to": "inf", "unit_amount": 800}]
    amounts = {}
    for mode in ("graduated", "volume"):
        price = shop.v1.prices.create(
            {
                "product": product,
                "currency": "usd",
                "billing_scheme": "tiered",
                "tiers_mode": mode,
                "tiers": tiers,
                "recurring": recurring,
                "expand": ["tiers"],
            }  # type: ignore[typeddict-item]
        )
        assert price.tiers is not None and len(price.tiers) == 2
        customer = shop.customer(pays_with="pm_card_visa")
        shop.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id, "quantity": 8}]})
        amounts[mode] = shop.invoices(customer)[0].amount_paid
    packs = shop.price(1000, transform_quantity={"divide_by": 10, "round": "up"})
    customer = shop.customer(pays_with="pm_card_visa")
    shop.v1.subscriptions.create({"customer": customer, "items": [{"price": packs, "quantity": 21}]})

    assert amounts == {"graduated": 5 * 1000 + 3 * 800, "volume": 8 * 800}
    assert shop.invoices(customer)[0].amount_paid == 3000


def test_an_identifier_may_be_used_again_after_a_day_and_both_count(shop: Shop, kim: str) -> None:
    use(shop, kim, "1", identifier="nightly")
    shop.advance(hours=24)

    use(shop, kim, "2", identifier="nightly")

    shop.advance(to=at(2026, 2, 28, 14))
    assert shop.invoices(kim)[-1].amount_paid == 150


@pytest.mark.parametrize("moment", [NEW_YEAR - 35 * DAY, NEW_YEAR + 5 * 60])
def test_usage_at_the_very_edge_of_what_is_allowed_is_taken(shop: Shop, kim: str, moment: int) -> None:
    use(shop, kim, "1", at=moment)

    meter = shop.v1.billing.meters.list().data[0].id
    day: Any = {"customer": kim, "start_time": moment - moment % 60, "end_time": moment - moment % 60 + 60}
    assert shop.v1.billing.meters.event_summaries.list(meter, day).data[0].aggregated_value == 1


def test_usage_that_comes_after_the_invoice_is_final_is_on_none(shop: Shop, kim: str) -> None:
    shop.advance(to=at(2026, 2, 28, 14))
    use(shop, kim, "9", at=at(2026, 2, 27))

    shop.advance(to=at(2026, 3, 31, 14))

    assert [invoice.amount_paid for invoice in shop.invoices(kim)] == [0, 0, 0]


def test_an_event_is_taken_back_within_a_day_or_never(shop: Shop, kim: str) -> None:
    use(shop, kim, "8", identifier="mistake")
    taken: Any = {"event_name": "tokens", "type": "cancel", "cancel": {"identifier": "mistake"}}
    shop.advance(hours=25)

    with pytest.raises(stripe.InvalidRequestError, match="within 24 hours"):
        shop.v1.billing.meter_event_adjustments.create(taken)
    with pytest.raises(stripe.InvalidRequestError, match="No event found"):
        shop.v1.billing.meter_event_adjustments.create(taken | {"cancel": {"identifier": "other"}})

    shop.advance(to=at(2026, 2, 28, 14))
    assert shop.invoices(kim)[-1].amount_paid == 400


@pytest.mark.parametrize(("formula", "total"), [("sum", 9), ("count", 3), ("last", 4)])
def test_a_meter_adds_counts_or_takes_the_latest(shop: Shop, formula: str, total: int) -> None:
    customer = shop.customer()
    meter = shop.v1.billing.meters.create(
        {
            "display_name": "Seats",
            "event_name": "seats",
            "default_aggregation": {"formula": formula},  # type: ignore[typeddict-item]
        }
    ).id
    # The latest by its own time came second.
    for value, moment in (("3", NEW_YEAR - 7200), ("4", NEW_YEAR - 60), ("2", NEW_YEAR - 3600)):
        shop.v1.billing.meter_events.create(
            {
                "event_name": "seats",
                "payload": {"stripe_customer_id": customer, "value": value},
                "timestamp": moment,
            }
        )

    asked: Any = {"customer": customer, "start_time": NEW_YEAR - DAY, "end_time": NEW_YEAR}
    found = shop.v1.billing.meters.event_summaries.list(meter, asked).data

    assert [one.aggregated_value for one in found] == [total]


def test_usage_is_shown_by_days_that_begin_at_midnight(shop: Shop, kim: str) -> None:
    meter = shop.v1.billing.meters.list().data[0].id
    midnight = NEW_YEAR - NEW_YEAR % DAY
    for value, moment in (("1", midnight - 1), ("2", midnight), ("3", midnight + 3600)):
        use(shop, kim, value, at=moment)
    asked: Any = {
        "customer": kim,
        "start_time": midnight - 2 * DAY,
        "end_time": midnight + DAY,
        "value_grouping_window": "day",
    }

    days = shop.v1.billing.meters.event_summaries.list(meter, asked).data

    assert [(day.start_time, day.end_time, day.aggregated_value) for day in days] == [
        (midnight, midnight + DAY, 5),
        (midnight - DAY, midnight, 1),
    ]
    with pytest.raises(stripe.InvalidRequestError, match="align"):
        shop.v1.billing.meters.event_summaries.list(meter, asked | {"start_time": midnight - 3600})
    with pytest.raises(stripe.InvalidRequestError, match="minute"):
        shop.v1.billing.meters.event_summaries.list(meter, asked | {"end_time": midnight + 30})


def test_usage_in_tiers_and_packs_is_billed_as_they_say(shop: Shop) -> None:
    meter = shop.v1.billing.meters.create(
        {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    ).id
    product = shop.v1.products.create({"name": "Calls"}).id
    recurring = {"interval": "month", "usage_type": "metered", "meter": meter}
    shared: Any = {"product": product, "currency": "usd", "recurring": recurring}
    tiers = [{"up_to": 100, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    terms = {
        "graduated": {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers},
        "volume": {"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": tiers},
        "packs": {"unit_amount": 40, "transform_quantity": {"divide_by": 100, "round": "up"}},
    }
    paid = {}
    for name, more in terms.items():
        customer = shop.customer(pays_with="pm_card_visa")
        shop.subscribe(shop.v1.prices.create(shared | more).id, customer=customer)
        shop.v1.billing.meter_events.create(
            {
                "event_name": "calls",
                "payload": {"stripe_customer_id": customer, "value": "341"},
                "timestamp": NEW_YEAR,
            }
        )
        paid[name] = customer
    shop.advance(to=at(2026, 2, 28, 14))

    assert {name: shop.invoices(customer)[-1].amount_paid for name, customer in paid.items()} == {
        "graduated": 121,  # 241 × 0.5, halves up
        "volume": 171,
        "packs": 160,
    }
