"""What is metered arrives at Stripe once, under the time it happened at, whatever goes wrong on the way."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from accounts.models import Account
from billing.models import Alert, Customer
from billing.stripe import gateway
from tests.usage.conftest import subscribe
from usage import meter_events, tasks
from usage.models import MeterEvent, UsageRecord

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> datetime:
    """The simulator lives in everybody's time, so these tests do too."""
    return timezone.now()


@pytest.fixture
def payg(shop: "Simulator", account: Account, now: datetime) -> Account:
    """Pays by the token, and has a customer at Stripe."""
    subscribe(account, "payg", anchor=now - timedelta(days=1))
    customer = gateway.post("/v1/customers", {"name": account.name}, idempotency_key=f"new-{account.pk}")
    Customer.objects.filter(account=account).update(stripe_customer_id=customer["id"])
    return account


@pytest.fixture
def wires(settings: Any) -> Iterator[Callable[..., None]]:
    """The connection to Stripe: `wires(cut="after")` lets calls take effect and then hangs up; `wires()` mends it."""

    def set_wires(cut: str = "", status: int = 0) -> None:
        wish = {
            "path": "/v1/billing/meter_events",
            "method": "POST",
            "when": cut,
            "status": status,
            "times": 100,
        }
        answer = urllib.request.Request(
            f"{settings.STRIPE_API_BASE}/_sim/failures",
            data=json.dumps(wish).encode(),
            method="POST" if cut else "DELETE",
        )
        urllib.request.urlopen(answer, timeout=5).close()

    yield set_wires
    set_wires()


def total_at_stripe(account: Account) -> int:
    customer = Customer.objects.get(account=account).stripe_customer_id
    meter = next(gateway.pages("/v1/billing/meters"))
    minute = int(timezone.now().timestamp()) // 60 * 60
    summaries = gateway.get(
        f"/v1/billing/meters/{meter['id']}/event_summaries",
        {"customer": customer, "start_time": minute - 40 * 86400, "end_time": minute + 3600},
    )
    return int(sum(summary["aggregated_value"] for summary in summaries["data"]))


def test_each_token_used_is_on_stripes_meter(payg: Account, generate: Any, now: datetime) -> None:
    for units in (1, 2, 3):
        generate(units, feature="tokens", now=now - HOUR)

    assert meter_events.deliver(now=now) == 3

    assert total_at_stripe(payg) == 6
    assert set(MeterEvent.objects.values_list("state", flat=True)) == {"sent"}
    assert meter_events.deliver(now=now + HOUR) == 0


def test_a_sender_killed_after_stripes_answer_does_not_bill_twice(
    payg: Account, generate: Any, now: datetime
) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    meter_events.deliver(now=now)
    MeterEvent.objects.update(state="waiting", sent_at=None)  # as if the answer had never been written down

    assert meter_events.deliver(now=now + HOUR) == 1

    assert total_at_stripe(payg) == 5
    assert MeterEvent.objects.get().state == "sent"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_failed_is_made_again_and_counts_once(
    payg: Account, wires: Callable[..., None], generate: Any, now: datetime, when: str
) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    wires(cut=when)

    assert meter_events.deliver(now=now) == 0
    event = MeterEvent.objects.get()
    assert event.state == "waiting"
    assert now < event.next_attempt_at <= now + timedelta(seconds=10)
    wires()
    assert meter_events.deliver(now=now) == 0  # not before its time

    assert meter_events.deliver(now=event.next_attempt_at) == 1
    assert total_at_stripe(payg) == 5


def test_an_outcome_unknown_for_a_day_is_given_to_a_person(
    payg: Account, wires: Callable[..., None], generate: Any, now: datetime
) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    wires(cut="after")
    meter_events.deliver(now=now)
    wires()

    assert meter_events.deliver(now=now + 24 * HOUR) == 0

    assert MeterEvent.objects.get().state == "review"
    assert Alert.objects.get(kind="meter_event_review").account == payg
    assert total_at_stripe(payg) == 5


def test_what_certainly_did_not_arrive_may_be_sent_days_later(
    payg: Account, generate: Any, now: datetime
) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    customer = Customer.objects.get(account=payg).stripe_customer_id
    Customer.objects.update(stripe_customer_id=None)
    meter_events.deliver(now=now)
    Customer.objects.update(stripe_customer_id=customer)

    assert meter_events.deliver(now=now + 48 * HOUR) == 1


def test_usage_older_than_stripe_takes_is_given_to_a_person(
    payg: Account, generate: Any, now: datetime
) -> None:
    subscribe(payg, "payg", anchor=now - timedelta(days=50))
    generate(5, feature="tokens", now=now - timedelta(days=36))

    assert meter_events.deliver(now=now) == 0

    assert MeterEvent.objects.get().state == "review"
    assert "invoice item" in Alert.objects.get().message


def test_what_stripe_refuses_is_not_tried_for_ever(payg: Account, generate: Any, now: datetime) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    meter = next(gateway.pages("/v1/billing/meters"))
    gateway.post(f"/v1/billing/meters/{meter['id']}/deactivate", idempotency_key="off")

    meter_events.deliver(now=now)

    event = MeterEvent.objects.get()
    assert event.state == "rejected"
    assert "No active meter" in event.last_error
    assert Alert.objects.get().kind == "meter_event_rejected"

    gateway.post(f"/v1/billing/meters/{meter['id']}/reactivate", idempotency_key="on")
    meter_events.send_again(event, now=now)
    assert meter_events.deliver(now=now) == 1
    assert total_at_stripe(payg) == 5


def test_the_usage_of_a_deleted_customer_is_closed(payg: Account, generate: Any, now: datetime) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    Customer.objects.update(stripe_customer_id=None, former_stripe_ids=["cus_gone"])

    meter_events.deliver(now=now)

    assert MeterEvent.objects.get().state == "rejected"


def test_a_sent_event_is_never_sent_again_by_staff(payg: Account, generate: Any, now: datetime) -> None:
    generate(5, feature="tokens", now=now - HOUR)
    meter_events.deliver(now=now)

    meter_events.send_again(MeterEvent.objects.get(), now=now)

    assert MeterEvent.objects.get().state == "sent"


def test_the_outbox_holds_the_ledgers_units(payg: Account, generate: Any, now: datetime) -> None:
    for units in range(1, 11):
        generate(units, feature="tokens", now=now)

    assert sum(MeterEvent.objects.values_list("units", flat=True)) == 55
    assert sum(UsageRecord.objects.values_list("units", flat=True)) == 55
    assert meter_events.deliver(now=now, limit=4) == 4
    assert meter_events.deliver(now=now) == 6


def test_a_busy_hour_reaches_stripe_in_one_delivery(
    payg: Account, generate: Any, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_events, "HELPING", 3)  # many helpings without thousands of acts
    for _ in range(10):
        generate(2, feature="tokens", now=now)

    tasks.deliver_meter_events()

    assert total_at_stripe(payg) == 20
    assert set(MeterEvent.objects.values_list("state", flat=True)) == {"sent"}


def test_what_a_delivery_had_no_time_for_is_left_as_it_was(
    payg: Account, generate: Any, now: datetime
) -> None:
    for _ in range(3):
        generate(feature="tokens", now=now)
    before = list(MeterEvent.objects.order_by("pk").values())

    assert meter_events.deliver(now=now, seconds=0) == 0

    assert list(MeterEvent.objects.order_by("pk").values()) == before
    assert meter_events.deliver(now=now) == 3
