"""Usage that is metered: events are counted once, summed by customer, and strange ones are refused."""

from __future__ import annotations

import time

import pytest
import stripe

from tests.contract.counterpart import Counterpart


def _meter(side: Counterpart) -> str:
    name = f"tokens_{side.mark}"
    meter = side.v1.billing.meters.create(
        {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    side.later(lambda: side.v1.billing.meters.deactivate(meter.id))
    return meter.id


def _used(side: Counterpart, customer: str, value: int, identifier: str) -> stripe.billing.MeterEvent:
    return side.v1.billing.meter_events.create(
        {
            "event_name": f"tokens_{side.mark}",
            "payload": {"stripe_customer_id": customer, "value": str(value)},
            "identifier": identifier,
        }
    )


def test_usage_is_summed_for_each_customer(stripe_side: Counterpart) -> None:
    meter, kim, lee = _meter(stripe_side), stripe_side.customer(), stripe_side.customer(name="Lee")
    for who, value in ((kim, 3), (kim, 4), (lee, 10)):
        _used(stripe_side, who, value, f"{stripe_side.mark}-{who}-{value}")

    minute = int(time.time()) // 60 * 60

    def total(who: str) -> float:
        found = stripe_side.v1.billing.meters.event_summaries.list(
            meter, {"customer": who, "start_time": minute - 3600, "end_time": minute + 120}
        )
        return sum(it.aggregated_value for it in found.data)

    stripe_side.until(lambda: total(kim) == 7)
    stripe_side.until(lambda: total(lee) == 10)


def test_the_same_use_told_twice_is_refused_the_second_time(stripe_side: Counterpart) -> None:
    _meter(stripe_side)
    customer = stripe_side.customer()
    _used(stripe_side, customer, 3, f"{stripe_side.mark}-once")

    with pytest.raises(stripe.InvalidRequestError) as refused:
        _used(stripe_side, customer, 3, f"{stripe_side.mark}-once")

    assert refused.value.http_status == 400


def test_use_long_past_is_refused(stripe_side: Counterpart) -> None:
    _meter(stripe_side)

    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.v1.billing.meter_events.create(
            {
                "event_name": f"tokens_{stripe_side.mark}",
                "payload": {"stripe_customer_id": stripe_side.customer(), "value": "1"},
                "timestamp": int(time.time()) - 36 * 86_400,
            }
        )


def test_two_meters_cannot_share_a_name(stripe_side: Counterpart) -> None:
    _meter(stripe_side)

    with pytest.raises(stripe.InvalidRequestError):
        _meter(stripe_side)
