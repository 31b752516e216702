"""Once a day Stripe's sums are compared with what was used, and nothing that is lost stays lost."""

from datetime import datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Account
from billing.models import Alert, Customer
from billing.stripe import gateway
from tests.usage.conftest import Wires, opened, subscribe
from usage import metering, meters, tasks
from usage.meters import by_hand, reconciliation
from usage.models import MeterDelivery

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def use(account: Account, units: int, *, now: datetime) -> None:
    metering.consume(account=account, feature="tokens", units=units, idempotency_key=f"{now}", now=now)


def lose_at_stripe(shop: "Simulator", *identifiers: str) -> None:
    """Stripe forgets what it had counted."""
    for identifier in identifiers:
        shop.store.remove("_meter_use", f"tokens_used:{identifier}")


def report_by_another_way(account: Account, units: int, *, now: datetime) -> None:
    customer = Customer.objects.get(account=account).stripe_customer_id
    event = {
        "event_name": "tokens_used",
        "timestamp": int(now.timestamp()),
        "payload": {"stripe_customer_id": customer, "value": str(units)},
    }
    gateway.post("/v1/billing/meter_events", event, idempotency_key=f"other-{now}")


def said(*words: str) -> str:
    out = StringIO()
    call_command("reconcile_usage", *words, stdout=out)
    return out.getvalue()


def test_when_all_agrees_nobody_is_bothered(payg: Account, now: datetime) -> None:
    for hours in range(1, 5):
        use(payg, hours, now=now - hours * HOUR)
    meters.deliver(now=now)

    found = reconciliation.reconcile(payg, now=now + HOUR)

    assert [(each.used, each.at_stripe, each.difference) for each in found] == [(10, 10, 0)]
    assert not Alert.objects.exists()
    assert "different: 0" in said()


def test_a_delivery_that_stripe_lost_is_found_and_can_be_sent_again(
    shop: "Simulator", payg: Account, now: datetime
) -> None:
    for hours in range(1, 5):
        use(payg, hours, now=now - hours * HOUR)
    meters.deliver(now=now)
    lost = MeterDelivery.objects.get(units=3)
    lose_at_stripe(shop, lost.identifier)

    [found] = reconciliation.reconcile(payg, now=now + HOUR)

    assert (found.difference, found.lost) == (3, 3)
    lost.refresh_from_db()
    assert lost.state == "review"
    assert "listed for review" in Alert.objects.get(kind="meters_differ").message

    assert by_hand.send_again(lost, now=now)
    meters.deliver(now=now)
    assert reconciliation.reconcile(payg, now=now + 2 * HOUR)[0].difference == 0


def test_in_an_open_window_a_twentieth_is_told_and_less_is_only_logged(
    shop: "Simulator", payg: Account, now: datetime
) -> None:
    use(payg, 1000, now=now - 3 * HOUR)
    meters.deliver(now=now)
    report_by_another_way(payg, 40, now=now - HOUR)

    assert reconciliation.reconcile(payg, now=now + HOUR)[0].difference == -40
    assert not Alert.objects.exists()

    report_by_another_way(payg, 20, now=now - 2 * HOUR)
    assert reconciliation.reconcile(payg, now=now + HOUR)[0].difference == -60
    assert "Stripe has more tokens_used" in Alert.objects.get().message


def test_in_a_closed_window_one_unit_is_enough(shop: "Simulator", payg: Account, now: datetime) -> None:
    subscribe(payg, "payg", anchor=now - 40 * DAY)
    use(payg, 1000, now=now - 20 * DAY)
    meters.deliver(now=now)
    report_by_another_way(payg, 1, now=now - 19 * DAY)

    found = reconciliation.reconcile(payg, now=now + HOUR)

    assert [each.is_closed for each in found] == [True]
    assert Alert.objects.get().account == payg


def test_what_is_on_its_way_is_no_difference(payg: Account, now: datetime) -> None:
    use(payg, 10, now=now - HOUR)

    assert reconciliation.reconcile(payg, now=now)[0].difference == 0
    assert not Alert.objects.exists()


def test_what_stands_still_is_one(payg: Account, wires: Wires, now: datetime) -> None:
    use(payg, 10, now=now - HOUR)
    wires(cut="before", path="/v1/billing/meter_events")
    meters.deliver(now=now)

    assert reconciliation.reconcile(payg, now=now + HOUR)[0].difference == 10
    assert Alert.objects.get().kind == "meters_differ"


def test_what_a_person_billed_in_another_way_is_not_missed(
    shop: "Simulator", payg: Account, now: datetime
) -> None:
    use(payg, 10, now=now - HOUR)
    meters.deliver(now=now)
    lose_at_stripe(shop, MeterDelivery.objects.get().identifier)
    reconciliation.reconcile(payg, now=now + HOUR)
    by_hand.settle(MeterDelivery.objects.get(), now=now)

    assert reconciliation.reconcile(payg, now=now + HOUR)[0].difference == 0


def test_two_that_could_be_the_lost_one_are_left_to_a_person(
    shop: "Simulator", payg: Account, now: datetime
) -> None:
    moment = (now - 2 * HOUR).replace(minute=10)
    for minute in range(3):
        use(payg, 5, now=moment + timedelta(minutes=minute))
        meters.deliver(now=now)
    lose_at_stripe(shop, MeterDelivery.objects.order_by("pk")[0].identifier)

    [found] = reconciliation.reconcile(payg, now=now + HOUR)

    assert (found.difference, found.lost) == (5, 0)
    assert set(MeterDelivery.objects.values_list("state", flat=True)) == {"sent"}
    assert "Stripe Dashboard" in Alert.objects.get().message


def test_the_command_says_it_and_with_dry_run_does_nothing(
    shop: "Simulator", payg: Account, now: datetime
) -> None:
    use(payg, 10, now=now - HOUR)
    meters.deliver(now=now)
    lose_at_stripe(shop, MeterDelivery.objects.get().identifier)
    MeterDelivery.objects.update(sent_at=now - HOUR)

    assert "used 10, at Stripe 0, missing 10." in said("--dry-run")
    assert MeterDelivery.objects.get().state == "sent"
    assert not Alert.objects.exists()

    assert "10 of them are listed for review" in said("--account", str(payg.pk))
    assert MeterDelivery.objects.get().state == "review"
    with pytest.raises(CommandError, match="There is no account"):
        said("--account", "00000000-0000-0000-0000-000000000000")


def test_the_daily_turn_sees_every_account_and_one_in_trouble_stops_no_other(
    shop: "Simulator", payg: Account, alice: object, wires: Wires, now: datetime
) -> None:
    others = [opened(alice) for _ in range(2)]  # type: ignore[arg-type]
    for number, other in enumerate(others):
        subscribe(other, "payg", anchor=now - DAY)
        customer = gateway.post("/v1/customers", idempotency_key=f"other-{number}")
        Customer.objects.filter(account=other).update(stripe_customer_id=customer["id"])
    for account in (payg, *others):
        use(account, 10, now=now - HOUR)
    meters.deliver(now=now)
    MeterDelivery.objects.update(sent_at=now - HOUR)
    lose_at_stripe(shop, *MeterDelivery.objects.values_list("identifier", flat=True))
    wires(cut="before", status=400, path="/v1/billing/meters/*/event_summaries", times=1)

    tasks.reconcile_meters()

    assert Alert.objects.filter(kind="meters_differ").count() == 2


def test_what_a_turn_has_no_time_for_is_named_for_the_next(payg: Account, now: datetime) -> None:
    use(payg, 10, now=now - HOUR)
    meters.deliver(now=now)

    assert reconciliation.reconcile_all(now=now, seconds=0) == str(payg.pk)
    assert reconciliation.reconcile_all(now=now, after=str(payg.pk)) == ""
