"""Many senders at once: each unit arrives once, and a customer's deliveries of a meter one at a time. On PostgreSQL."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.models import Account
from billing.models import Customer
from billing.stripe import gateway
from simulator import front_door
from tests.usage.conftest import opened, subscribe
from usage import metering, meters
from usage.meters import freezing, sending
from usage.models import MeterDelivery, MeterEvent

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

SENDERS = 8
HOUR = timedelta(hours=1)


@pytest.fixture
def customers(shop: "Simulator", alice: Any) -> list[Account]:
    now = timezone.now()
    found = []
    for number in range(6):
        account = opened(alice)
        subscribe(account, "payg", anchor=now - timedelta(days=1))
        customer = gateway.post("/v1/customers", idempotency_key=f"customer-{number}")
        Customer.objects.filter(account=account).update(stripe_customer_id=customer["id"])
        found.append(account)
    return found


def use(account: Account, units: int, *, now: datetime, key: str) -> None:
    metering.consume(account=account, feature="tokens", units=units, idempotency_key=key, now=now)


def all_at_once(act: Any) -> list[Any]:
    start = threading.Barrier(SENDERS, timeout=20)

    def run(number: int) -> Any:
        try:
            start.wait()
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(SENDERS) as pool:
        return list(pool.map(run, range(SENDERS)))


def counted(shop: "Simulator") -> dict[str, int]:
    sums: dict[str, int] = {}
    for event in shop.store.all("_meter_use"):
        sums[event["customer"]] = sums.get(event["customer"], 0) + int(event["value"])
    return sums


def test_many_senders_share_the_work_and_each_unit_arrives_once(
    shop: "Simulator", customers: list[Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "HELPING", 2)  # so that there is something to share
    now = timezone.now()
    for hours in range(5):
        for number, account in enumerate(customers):
            use(account, number + 1, now=now - hours * HOUR, key=f"act-{hours}")
    freezing.freeze(now=now)
    watch = OneAtATime(shop)

    sent = all_at_once(lambda _: meters.deliver(now=now))

    assert sum(sent) == MeterDelivery.objects.filter(state="sent").count() == 30
    assert sum(1 for number in sent if number) > 1, "One sender did it all: this proved nothing."
    assert sorted(counted(shop).values()) == [5, 10, 15, 20, 25, 30]
    assert watch.most == 1


class OneAtATime:
    """Counts how many calls of one customer are at the meter at the same moment; each takes a while."""

    def __init__(self, shop: "Simulator") -> None:
        self.most = 0
        self._now: dict[str, int] = {}
        self._lock = threading.Lock()
        door = front_door.of(shop)
        original = door._api

        def slow(method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> Any:
            customer = next((part for part in body.decode().split("&") if "stripe_customer_id" in part), "")
            if path != "/v1/billing/meter_events" or not customer:
                return original(method, path, query, body, headers)
            with self._lock:
                self._now[customer] = self._now.get(customer, 0) + 1
                self.most = max(self.most, self._now[customer])
            time.sleep(0.02)
            answer = original(method, path, query, body, headers)
            with self._lock:
                self._now[customer] -= 1
            return answer

        door._api = slow  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _the_door_as_it_was(shop: "Simulator") -> Any:
    door = front_door.of(shop)
    yield
    vars(door).pop("_api", None)


def test_many_freezers_put_each_act_into_one_delivery(shop: "Simulator", customers: list[Account]) -> None:
    now = timezone.now()
    for number in range(60):
        use(customers[number % 6], 1, now=now, key=f"act-{number}")

    all_at_once(lambda _: freezing.freeze(now=now))

    assert not MeterEvent.objects.filter(state="waiting").exists()
    assert sum(MeterDelivery.objects.values_list("units", flat=True)) == 60
    assert sum(MeterDelivery.objects.values_list("acts", flat=True)) == 60
    meters.deliver(now=now)
    assert sorted(counted(shop).values()) == [10] * 6


def test_units_used_while_others_send_are_sent_too(shop: "Simulator", customers: list[Account]) -> None:
    now = timezone.now()

    def act(number: int) -> int:
        if number % 2:
            return meters.deliver(now=now)
        for turn in range(15):
            use(customers[number % 6], 1, now=now, key=f"act-{number}-{turn}")
        return 0

    all_at_once(act)
    meters.deliver(now=now)

    assert sum(counted(shop).values()) == 60
    assert not MeterDelivery.objects.exclude(state="sent").exists()


def test_the_database_lets_nobody_have_two_of_one_customer_in_flight(customers: list[Account]) -> None:
    now = timezone.now()
    use(customers[0], 1, now=now, key="a")
    use(customers[0], 1, now=now - HOUR, key="b")
    freezing.freeze(now=now)

    with pytest.raises(IntegrityError, match="one_delivery_in_flight_per_customer_and_meter"):
        MeterDelivery.objects.update(is_in_flight=True)


def test_what_a_killed_sender_had_is_taken_over_and_nothing_of_its_customer_before_that(
    customers: list[Account], shop: "Simulator"
) -> None:
    now = timezone.now()
    use(customers[0], 1, now=now, key="a")
    use(customers[0], 2, now=now - HOUR, key="b")
    freezing.freeze(now=now)
    first = MeterDelivery.objects.order_by("pk")[0]
    MeterDelivery.objects.filter(pk=first.pk).update(
        is_in_flight=True, attempts=1, next_attempt_at=now + sending.CLAIM, unknown_since=now
    )

    assert meters.deliver(now=now) == 0
    assert meters.deliver(now=now + sending.CLAIM) == 2
    assert sum(counted(shop).values()) == 3
