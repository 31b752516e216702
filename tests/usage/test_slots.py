"""Runs at once: never more than the plan gives, never a place lost to somebody who crashed."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Member, Notification, User
from billing import grants
from billing.models import Customer
from tests import factories
from tests.usage.conftest import NOON
from tests.usage.test_concurrency import at_once
from tests.usage.test_gauges import agreed
from usage import metering
from usage.models import Slot
from usage.standing import LimitReached, gauges, shrinking, slots

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def two(account: Account) -> Account:
    """Two runs at once. (The price list of these tests calls them projects.)"""
    agreed(account, projects=2)
    return account


def take(account: Account, key: str, **more: Any) -> Slot:
    return slots.take(**{"account": account, "feature": "projects", "key": key, "now": NOON, **more})


def beat(account: Account, key: str, **more: Any) -> Any:
    return slots.beat(**{"account": account, "feature": "projects", "key": key, "now": NOON, **more})


def give_back(account: Account, key: str) -> bool:
    return slots.give_back(account=account, feature="projects", key=key)


def test_the_third_run_waits_for_one_to_end(two: Account) -> None:
    take(two, "run:1")
    take(two, "run:2")
    with pytest.raises(LimitReached) as refused:
        take(two, "run:3")
    assert (refused.value.reason, refused.value.used, refused.value.limit) == ("limit_reached", 2, 2)
    assert str(refused.value) == (
        "2 projects are going on, and Pro gives 2 projects at the same time. Wait for one to finish or choose a "
        "larger plan."
    )
    assert refused.value.upgrade_url.endswith("/pricing/")

    give_back(two, "run:1")

    assert take(two, "run:3").key == "run:3"


def test_a_run_begun_twice_is_one_run(two: Account) -> None:
    first = take(two, "run:1")

    again = take(two, "run:1", now=NOON + MINUTE)

    assert again.pk == first.pk
    assert again.expires_at == NOON + 6 * MINUTE
    take(two, "run:2")
    assert take(two, "run:1").pk == first.pk


def test_giving_back_twice_is_harmless(two: Account) -> None:
    take(two, "run:1")
    take(two, "run:2")

    assert give_back(two, "run:1") is True
    assert give_back(two, "run:1") is False
    take(two, "run:3")
    assert give_back(two, "run:1") is False

    assert slots.running(two, "projects", now=NOON).count() == 2


def test_a_run_that_crashed_is_over_by_the_clock_alone(two: Account) -> None:
    take(two, "run:1", ttl=MINUTE)
    take(two, "run:2", ttl=10 * MINUTE)
    with pytest.raises(LimitReached):
        take(two, "run:3", now=NOON + MINUTE - timedelta(microseconds=1))

    assert gauges.state(two, "projects", NOON + MINUTE).used == 1
    take(two, "run:3", now=NOON + MINUTE)

    keys = slots.running(two, "projects", now=NOON + MINUTE).values_list("key", flat=True)
    assert list(keys) == ["run:2", "run:3"]


def test_a_heartbeat_keeps_a_run_alive(two: Account) -> None:
    take(two, "run:1")

    for minute in range(4, 60, 4):
        assert beat(two, "run:1", now=NOON + minute * MINUTE) == NOON + (minute + 5) * MINUTE

    assert slots.running(two, "projects", now=NOON + 60 * MINUTE).count() == 1


def test_a_run_that_was_silent_too_long_does_not_come_back_over_the_limit(two: Account) -> None:
    take(two, "run:1", ttl=MINUTE)
    take(two, "run:2")
    take(two, "run:3", now=NOON + MINUTE)

    with pytest.raises(slots.SlotLost):
        beat(two, "run:1", now=NOON + 2 * MINUTE)

    with pytest.raises(LimitReached):
        take(two, "run:1", now=NOON + 2 * MINUTE)


def test_a_heartbeat_after_its_time_is_too_late_even_when_nobody_wanted_the_place(two: Account) -> None:
    take(two, "run:1", ttl=MINUTE)

    with pytest.raises(slots.SlotLost):
        beat(two, "run:1", now=NOON + MINUTE)

    assert take(two, "run:1", now=NOON + MINUTE).taken_at == NOON + MINUTE


def test_a_smaller_plan_lets_runs_finish_and_begins_none_until_it_fits(two: Account) -> None:
    take(two, "run:1")
    take(two, "run:2")

    agreed(two, projects=1)

    beat(two, "run:1", now=NOON + MINUTE)
    beat(two, "run:2", now=NOON + MINUTE)
    assert gauges.state(two, "projects", NOON + MINUTE).is_over
    with pytest.raises(LimitReached) as refused:
        take(two, "run:3", now=NOON + MINUTE)
    assert refused.value.reason == "over_limit"
    give_back(two, "run:1")
    give_back(two, "run:2")
    assert take(two, "run:3", now=NOON + MINUTE)


def test_whoever_has_the_most_that_is_sold_is_sent_nowhere_to_buy_more(
    account: Account, settings: Any
) -> None:
    settings.BILLING_CATALOG = "automation"
    grants.give(account=account, plan_key="enterprise", kind="enterprise", reason="agreed", now=NOON - MINUTE)
    for number in range(20):
        take(account, f"run:{number}", feature="concurrent_runs")

    with pytest.raises(LimitReached) as refused:
        take(account, "run:20", feature="concurrent_runs")
    assert str(refused.value) == (
        "20 runs are going on, and Enterprise gives 20 runs at the same time. Wait for one to finish."
    )
    assert (refused.value.upgrade_url, refused.value.helps) == ("", ("wait",))
    with pytest.raises(LimitReached) as refused:
        gauges.claim(account=account, feature="storage_bytes", units=101 * 2**30, now=NOON)
    assert str(refused.value).endswith("left of 100 GB. Remove some.")
    assert refused.value.upgrade_url == ""


def test_runs_are_nothing_to_reduce_they_end_by_themselves(
    two: Account, alice: User, as_alice: Client
) -> None:
    now = timezone.now()
    take(two, "run:1", now=now)
    take(two, "run:2", now=now)
    as_alice.post("/account/switch/", {"account": str(two.pk)})
    assert "No more can begin until one has finished" in as_alice.get("/usage/").content.decode()
    agreed(two, projects=1)
    shrinking.look(now=now)

    assert gauges.state(two, "projects", now).is_over
    assert not Notification.objects.filter(kind="over_limit").exists()


def test_things_and_runs_of_one_feature_share_its_limit(two: Account) -> None:
    gauges.claim(account=two, feature="projects", now=NOON)
    take(two, "run:1")

    with pytest.raises(LimitReached):
        take(two, "run:2")
    with pytest.raises(LimitReached):
        gauges.claim(account=two, feature="projects", now=NOON)


def test_a_test_clock_that_stands_still_keeps_no_place_for_a_crashed_run(two: Account) -> None:
    Customer.objects.filter(account=two).update(clock_now=NOON)
    take(two, "run:1", ttl=MINUTE)
    take(two, "run:2", ttl=MINUTE)

    assert take(two, "run:3", now=NOON + MINUTE)


def test_none_and_unlimited(account: Account) -> None:
    agreed(account, projects=0)
    with pytest.raises(metering.FeatureNotIncluded):
        take(account, "run:1")

    agreed(account, projects=None)
    for number in range(30):
        take(account, f"run:{number}")


def test_another_accounts_run_is_not_ours_to_end(two: Account, charlie: User) -> None:
    take(two, "run:1")

    assert give_back(charlie.personal_account, "run:1") is False
    with pytest.raises(slots.SlotLost):
        beat(charlie.personal_account, "run:1")

    assert slots.running(two, "projects", now=NOON).count() == 1


def test_guests_look_and_do_not_run(two: Account) -> None:
    guest = factories.person()
    factories.MemberFactory(account=two, user=guest, role=Member.Role.GUEST)
    take(two, "run:1")

    for act in (take, beat):
        with pytest.raises(metering.FeatureNotIncluded):
            act(two, "run:1", user=guest)
    with pytest.raises(metering.FeatureNotIncluded):
        slots.give_back(account=two, feature="projects", key="run:1", user=guest)


@pytest.mark.parametrize("ttl", [timedelta(0), -MINUTE, timedelta(days=1, seconds=1)])
def test_a_time_that_makes_no_sense_is_refused(two: Account, ttl: timedelta) -> None:
    with pytest.raises(slots.InvalidTtl):
        take(two, "run:1", ttl=ttl)

    assert not Slot.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", None, 7])
def test_a_key_that_names_nothing_is_refused(two: Account, key: Any) -> None:
    for act in (take, beat, give_back):
        with pytest.raises(metering.InvalidKey):
            act(two, key)


@pytest.mark.parametrize("feature", ["generations", "no such thing"])
def test_only_standing_limits_have_slots(two: Account, feature: str) -> None:
    for act in (take, beat):
        with pytest.raises(metering.UnknownFeature):
            act(two, "run:1", feature=feature)


@pytest.mark.postgres
def test_of_sixteen_at_once_two_run(two: Account) -> None:
    for turn in range(5):
        found = Counter(at_once(lambda number, turn=turn: _tried(two, f"run:{turn}-{number}")))

        assert found == {"granted": 2, "limit_reached": 14}
        for slot in slots.running(two, "projects", now=NOON):
            give_back(two, slot.key)


@pytest.mark.postgres
def test_heartbeats_and_a_new_run_at_the_moment_of_expiry_never_make_three(two: Account) -> None:
    """Some are a moment early with their heartbeat, others already see the place as free."""
    for turn in range(10):
        now = NOON + turn * 30 * MINUTE
        take(two, f"old:{turn}-0", now=now, ttl=MINUTE)
        take(two, f"old:{turn}-1", now=now, ttl=MINUTE)

        def act(number: int, turn: int = turn, now: Any = now) -> None:
            if number % 2:
                _tried(two, f"new:{turn}-{number}", now=now + MINUTE)
                return
            try:
                beat(two, f"old:{turn}-{number // 2 % 2}", now=now + MINUTE - timedelta(microseconds=1))
            except slots.SlotLost:
                return

        at_once(act)

        assert slots.running(two, "projects", now=now + MINUTE).count() == 2
        Slot.objects.all().delete()


def _tried(account: Account, key: str, **more: Any) -> str:
    try:
        take(account, key, **more)
    except LimitReached as refused:
        return refused.reason
    return "granted"
