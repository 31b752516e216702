"""What is metered arrives at Stripe once, under the time it happened at, whatever goes wrong on the way."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from accounts.models import Account
from billing.models import Alert, Customer
from billing.stripe import gateway
from simulator import front_door
from tests.usage.conftest import Wires, opened, subscribe
from usage import meters, tasks
from usage.meters import by_hand, freezing, sending
from usage.meters.totals import Meters, hour_of
from usage.models import MeterDelivery, MeterEvent, UsageRecord

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now() -> datetime:
    """The simulator lives in everybody's time, so these tests do too."""
    return timezone.now()


@pytest.fixture
def earlier(now: datetime) -> datetime:
    """The middle of a whole hour that is over."""
    return hour_of(now) - 30 * MINUTE


def total_at_stripe(account: Account) -> int:
    customer = Customer.objects.get(account=account).stripe_customer_id
    assert customer
    hour = hour_of(timezone.now())
    start, end = hour - timedelta(days=40), hour + HOUR
    return Meters().total(event_name="tokens_used", customer_id=customer, start=start, end=end)


def calls_to_the_meter(shop: "Simulator") -> list[dict[str, Any]]:
    return [call for call in front_door.of(shop).requests() if call["path"] == "/v1/billing/meter_events"]


def test_the_tokens_of_an_hour_travel_together(
    shop: "Simulator", payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    front_door.of(shop).forget()
    for minute in range(10):
        generate(minute + 1, feature="tokens", now=earlier + minute * MINUTE)

    assert meters.deliver(now=now) == 1

    assert total_at_stripe(payg) == 55
    assert len(calls_to_the_meter(shop)) == 1
    delivery = MeterDelivery.objects.get()
    assert (delivery.state, delivery.units, delivery.acts) == ("sent", 55, 10)
    assert delivery.occurred_at == earlier + 9 * MINUTE
    assert set(MeterEvent.objects.values_list("state", "delivery")) == {("frozen", delivery.pk)}
    assert meters.deliver(now=now + HOUR) == 0


def test_each_hour_is_told_apart(payg: Account, generate: Any, earlier: datetime, now: datetime) -> None:
    generate(1, feature="tokens", now=earlier - HOUR)
    generate(2, feature="tokens", now=earlier)

    assert meters.deliver(now=now) == 2

    customer = Customer.objects.get(account=payg).stripe_customer_id
    assert customer
    hours = Meters().by_hour(
        event_name="tokens_used", customer_id=customer, start=hour_of(earlier) - HOUR, end=hour_of(now)
    )
    assert hours == {hour_of(earlier) - HOUR: 1, hour_of(earlier): 2}


def test_use_before_and_after_a_billing_period_s_end_is_not_mixed_though_it_is_one_hour(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    subscribe(payg, "payg", anchor=now - timedelta(days=1), current_period_end=earlier)
    generate(1, feature="tokens", now=earlier - timedelta(seconds=1))
    generate(2, feature="tokens", now=earlier)

    freezing.freeze(now=now)

    assert list(MeterDelivery.objects.order_by("occurred_at").values_list("units", "occurred_at")) == [
        (1, earlier - timedelta(seconds=1)),
        (2, earlier),
    ]


def test_each_account_is_billed_what_it_used(
    payg: Account, alice: Any, generate: Any, earlier: datetime, now: datetime
) -> None:
    other = opened(alice)
    subscribe(other, "payg", anchor=now - timedelta(days=1))
    customer = gateway.post("/v1/customers", idempotency_key="other")
    Customer.objects.filter(account=other).update(stripe_customer_id=customer["id"])
    generate(3, feature="tokens", now=earlier)
    generate(4, feature="tokens", now=earlier, account=other)

    assert meters.deliver(now=now) == 2

    assert (total_at_stripe(payg), total_at_stripe(other)) == (3, 4)


def test_an_unlimited_plan_sends_nothing(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    subscribe(payg, "boundless", anchor=now - timedelta(days=1))
    generate(1000, feature="tokens", now=earlier)

    assert meters.deliver(now=now) == 0
    assert total_at_stripe(payg) == 0
    assert not MeterEvent.objects.exists()


def test_a_sum_never_has_more_digits_than_stripe_takes(
    payg: Account, generate: Any, earlier: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "MOST_UNITS", 1000)
    for units in (600, 300, 200, 1000):
        generate(units, feature="tokens", now=earlier)

    meters.deliver(now=now)

    assert list(MeterDelivery.objects.order_by("pk").values_list("units", flat=True)) == [900, 200, 1000]
    assert total_at_stripe(payg) == 2100


def test_a_sender_killed_after_stripes_answer_does_not_bill_twice(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(5, feature="tokens", now=earlier)
    meters.deliver(now=now)
    # as if the answer had never been written down
    MeterDelivery.objects.update(state="waiting", sent_at=None, is_in_flight=True)

    assert meters.deliver(now=now) == 0  # it may still be at it
    taken_for_dead_at = MeterDelivery.objects.get().next_attempt_at
    assert now + sending.CLAIM <= taken_for_dead_at < now + sending.CLAIM + MINUTE / 2
    assert meters.deliver(now=taken_for_dead_at) == 1

    assert total_at_stripe(payg) == 5
    assert MeterDelivery.objects.get().state == "sent"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_failed_is_made_again_and_counts_once(
    payg: Account, wires: Wires, generate: Any, earlier: datetime, now: datetime, when: str
) -> None:
    generate(5, feature="tokens", now=earlier)
    wires(cut=when)

    assert meters.deliver(now=now) == 0
    delivery = MeterDelivery.objects.get()
    assert delivery.state == "waiting"
    assert now < delivery.next_attempt_at <= now + timedelta(seconds=10)
    wires()
    assert meters.deliver(now=now) == 0  # not before its time

    assert meters.deliver(now=delivery.next_attempt_at) == 1
    assert total_at_stripe(payg) == 5


def test_while_stripe_is_away_what_is_used_gathers_and_never_waits_long(
    shop: "Simulator", payg: Account, wires: Wires, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(1, feature="tokens", now=earlier)
    wires(cut="before", status=500)
    for attempt in range(12):
        gateway.line.forget()  # the pause of the line is another test's matter
        meters.deliver(now=now + attempt * 15 * MINUTE)
        generate(1, feature="tokens", now=earlier)

    waiting = MeterDelivery.objects.get()
    assert waiting.attempts == 12
    assert waiting.next_attempt_at <= now + (11 * 15 + 11) * MINUTE
    gateway.line.forget()
    wires()

    assert (
        meters.deliver(now=waiting.next_attempt_at) == 2
    )  # the one on its way, and all that gathered behind it
    assert total_at_stripe(payg) == 13


@pytest.mark.parametrize("when", ["before", "after"])
def test_when_the_outcome_is_unknown_for_a_day_stripes_sum_decides(
    payg: Account, wires: Wires, generate: Any, earlier: datetime, now: datetime, when: str
) -> None:
    generate(7, feature="tokens", now=earlier)
    meters.deliver(now=now)
    generate(5, feature="tokens", now=earlier)
    wires(cut=when)
    meters.deliver(now=now)
    wires()

    meters.deliver(now=now + 24 * HOUR)

    assert set(MeterDelivery.objects.values_list("state", flat=True)) == {"sent"}
    assert total_at_stripe(payg) == 12


def test_when_stripes_sum_does_not_say_a_person_is_asked(
    payg: Account, wires: Wires, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(5, feature="tokens", now=earlier)
    wires(cut="before")
    meters.deliver(now=now)
    wires()
    somebody_elses = {
        "event_name": "tokens_used",
        "timestamp": int(earlier.timestamp()),
        "payload": {
            "stripe_customer_id": Customer.objects.get(account=payg).stripe_customer_id,
            "value": "3",
        },
    }
    gateway.post("/v1/billing/meter_events", somebody_elses, idempotency_key="by-hand")

    assert meters.deliver(now=now + 24 * HOUR) == 0

    assert MeterDelivery.objects.get().state == "review"
    assert Alert.objects.get(kind="meter_delivery_review").account == payg


def test_what_certainly_did_not_arrive_may_be_sent_days_later(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(5, feature="tokens", now=earlier)
    customer = Customer.objects.get(account=payg).stripe_customer_id
    Customer.objects.update(stripe_customer_id=None)
    meters.deliver(now=now)
    Customer.objects.update(stripe_customer_id=customer)

    assert meters.deliver(now=now + 48 * HOUR) == 1


def test_usage_older_than_stripe_takes_is_given_to_a_person(
    payg: Account, generate: Any, now: datetime
) -> None:
    subscribe(payg, "payg", anchor=now - timedelta(days=50))
    generate(5, feature="tokens", now=now - timedelta(days=36))

    assert meters.deliver(now=now) == 0

    assert MeterDelivery.objects.get().state == "review"
    assert "invoice item" in Alert.objects.get().message


def test_usage_that_missed_its_invoice_is_given_to_a_person_and_not_to_a_meter_that_bills_it_no_more(
    payg: Account, generate: Any, now: datetime
) -> None:
    subscription = subscribe(payg, "payg", anchor=now - timedelta(days=2))
    generate(5, feature="tokens", now=now - 4 * HOUR)
    subscription.items.create(
        stripe_item_id="si_1",
        stripe_price_id="price_1",
        stripe_product_id="prod_1",
        lookup_key="counting_payg",
        plan_key="payg",
        is_metered=True,
        current_period_start=now - 2 * HOUR,  # renewed two hours ago, its invoice is final for one
        current_period_end=now + timedelta(days=30),
    )

    assert meters.deliver(now=now) == 0

    assert MeterDelivery.objects.get().state == "review"
    assert "invoice of its period was made without it" in Alert.objects.get().message
    assert total_at_stripe(payg) == 0


def test_what_is_ahead_of_the_clock_waits_for_it(payg: Account, generate: Any, now: datetime) -> None:
    generate(5, feature="tokens", now=now + 10 * MINUTE)

    assert meters.deliver(now=now) == 0
    assert MeterDelivery.objects.get().state == "waiting"


def test_what_stripe_refuses_is_not_tried_for_ever(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(5, feature="tokens", now=earlier)
    meter = next(gateway.pages("/v1/billing/meters"))
    gateway.post(f"/v1/billing/meters/{meter['id']}/deactivate", idempotency_key="off")

    meters.deliver(now=now)

    delivery = MeterDelivery.objects.get()
    assert delivery.state == "rejected"
    assert "No active meter" in delivery.last_error
    assert Alert.objects.get().kind == "meter_delivery_rejected"

    gateway.post(f"/v1/billing/meters/{meter['id']}/reactivate", idempotency_key="on")
    assert by_hand.send_again(delivery, now=now)
    assert meters.deliver(now=now) == 1
    assert total_at_stripe(payg) == 5
    assert Alert.objects.get().resolved_at


def test_the_usage_of_a_deleted_customer_is_closed(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    generate(5, feature="tokens", now=earlier)
    Customer.objects.update(stripe_customer_id=None, former_stripe_ids=["cus_gone"])

    meters.deliver(now=now)

    assert MeterDelivery.objects.get().state == "rejected"


def test_a_wrong_key_stops_nothing_for_good_and_is_told(
    payg: Account, generate: Any, earlier: datetime, now: datetime, settings: Any
) -> None:
    generate(5, feature="tokens", now=earlier)
    right = settings.STRIPE_SECRET_KEY
    settings.STRIPE_SECRET_KEY = "sk_test_wrong"
    meters.deliver(now=now)
    assert Alert.objects.get().kind == "meter_deliveries_not_taken"

    settings.STRIPE_SECRET_KEY = right
    assert meters.deliver(now=now + 20 * MINUTE) == 1
    assert total_at_stripe(payg) == 5


def test_the_outbox_holds_the_ledgers_units(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    for units in range(1, 11):
        generate(units, feature="tokens", now=earlier - (units % 3) * HOUR)

    meters.deliver(now=now)

    sums = [
        rows.objects.aggregate(all=Sum("units"))["all"] for rows in (UsageRecord, MeterEvent, MeterDelivery)
    ]
    assert sums == [55, 55, 55]
    assert MeterDelivery.objects.count() == 3


def test_more_than_a_helping_is_frozen_and_sent_in_one_go(
    payg: Account, generate: Any, earlier: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "HELPING", 3)  # many helpings without thousands of acts
    for _ in range(10):
        generate(2, feature="tokens", now=earlier)

    tasks.deliver_meter_events()

    assert total_at_stripe(payg) == 20
    assert set(MeterDelivery.objects.values_list("state", flat=True)) == {"sent"}


def test_what_a_sender_had_no_time_for_is_left_as_it_was(
    payg: Account, generate: Any, earlier: datetime, now: datetime
) -> None:
    for hours in range(3):
        generate(feature="tokens", now=earlier - hours * HOUR)
    freezing.freeze(now=now)
    before = list(MeterDelivery.objects.order_by("pk").values())

    assert meters.deliver(now=now, seconds=0) == 0

    assert list(MeterDelivery.objects.order_by("pk").values()) == before
    assert meters.deliver(now=now, limit=1) == 1
    assert meters.deliver(now=now) == 2
