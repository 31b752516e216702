"""Acts of several accounts in one statement count as they would alone, and what cannot is left alone. On PostgreSQL."""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from accounts.models import Account, User
from billing import catalog
from tests.usage.conftest import NOON, assert_books_agree, opened, subscribe
from usage import metering
from usage.metering import counters, portable, postgres, together
from usage.metering.attempts import Ask, Attempt
from usage.models import MeterEvent, UsageCounter, UsageRecord

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


def asked(account: Account, feature: str = "generations", units: int = 1, **more: Any) -> Ask:
    plan_list = catalog.current()
    given = {"idempotency_key": "job", "now": NOON, "user_id": None, "api_key_id": None, **more}
    return Ask(
        account_id=account.pk,
        feature=feature,
        units=units,
        catalog=plan_list.fingerprint,
        meter_event_name=plan_list.feature(feature).meter_event_name,
        **given,
    )


@pytest.fixture
def accounts(alice: User, generate: Any) -> list[Account]:
    """Four accounts on a plan with a hundred generations, each of which has used one."""
    found = [opened(alice, name=f"Number {number}") for number in range(4)]
    for account in found:
        subscribe(account, "hundred", anchor=NOON)
        generate(key="opened", account=account)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_side_by_side_they_are_answered_as_the_reference_answers_each(seed: int, alice: User) -> None:
    """The same random life of four accounts, once side by side, once each act by itself through the ORM."""
    dice = random.Random(seed)
    by_function, by_reference = ([opened(alice) for _ in range(4)] for _ in range(2))
    now, counted = NOON, 0
    for step in range(16):
        now += dice.choice([timedelta(0), timedelta(hours=5), timedelta(days=9)])
        for place in range(4):
            if step == 0 or dice.random() < 0.08:
                plan = dice.choice(["pro", "hundred", "payg", "boundless"])
                anchor = now - timedelta(days=dice.randrange(40))
                for account in (by_function[place], by_reference[place]):
                    subscribe(
                        account, plan, anchor=anchor, stripe_subscription_id=f"sub_{step}_{account.pk.hex}"
                    )
        acts = [
            (place, feature, dice.choice([1, 1, 2, 40]), f"{feature}-{dice.randrange(30)}")
            for place in range(4)
            for feature in dice.sample(["generations", "queries", "tokens"], dice.randrange(4))
        ]
        members = [dice.choice([None, alice.pk]) for _ in acts]

        asks = [
            [
                asked(accounts[place], feature, units, idempotency_key=key, now=now, user_id=member)
                for (place, feature, units, key), member in zip(acts, members, strict=True)
            ]
            for accounts in (by_function, by_reference)
        ]
        found = postgres.attempt_together(asks[0], patience="50ms") if acts else []
        for answer, mine, theirs, (place, *_) in zip(found, *asks, acts, strict=True):
            counted += answer is not None
            alone = said(answer) if answer else _until_clear(by_function[place], mine, postgres.attempt)
            assert alone == _until_clear(by_reference[place], theirs, portable.attempt)
    assert counted > 8
    for mine, theirs in zip(by_function, by_reference, strict=True):
        assert_books_agree(mine)
        assert_books_agree(theirs)
        assert [events_of(mine)] == [events_of(theirs)]


def _until_clear(account: Account, ask: Ask, way: Any) -> Any:
    attempt = way(ask)
    if attempt.outcome == "stale":
        try:
            counters.open_at(account, ask.feature, now=attempt.seen_at)
        except metering.FeatureNotIncluded as refused:
            return refused.reason
        attempt = way(ask)
    return said(attempt)


def said(attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.outcome,
        attempt.seen_at,
        attempt.used,
        attempt.reserved,
        attempt.limit,
        attempt.period_start,
        attempt.period_end,
        attempt.credited,
        attempt.billed,
        attempt.cost,
    )


def events_of(account: Account) -> list[tuple[int, datetime, str]]:
    events = MeterEvent.objects.filter(account=account).order_by("occurred_at", "event_name", "units")
    return list(events.values_list("units", "occurred_at", "event_name"))


def test_one_key_for_two_features_counts_for_one_of_them(
    accounts: list[Account], alice: User, generate: Any
) -> None:
    both = opened(alice)
    generate(key="opened", account=both)
    generate(key="queries opened", feature="queries", account=both)

    found = postgres.attempt_together(
        [asked(both), asked(both, "queries"), asked(accounts[1])], patience="50ms"
    )

    assert [answer is not None for answer in found].count(True) == 2
    assert found[2] is not None
    assert UsageRecord.objects.filter(account=both, idempotency_key="job").count() == 1
    for account in (both, *accounts):
        assert_books_agree(account)


def test_what_was_counted_before_and_what_is_too_much_is_left_alone(
    accounts: list[Account], generate: Any
) -> None:
    generate(key="job", account=accounts[0])

    found = postgres.attempt_together(
        [asked(accounts[0]), asked(accounts[1], units=100), asked(accounts[2], units=99)], patience="50ms"
    )

    assert found[:2] == [None, None]
    assert found[2] is not None and (found[2].used, found[2].limit) == (100, 100)
    assert [UsageCounter.objects.get(account=account).used for account in accounts] == [2, 1, 100, 1]


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def test_a_counter_changed_outside_its_queue_has_none_of_them_counted(
    accounts: list[Account], elsewhere: ThreadPoolExecutor
) -> None:
    changed, let_go = Event(), Event()

    def change() -> None:
        with transaction.atomic():
            UsageCounter.objects.filter(account=accounts[1]).update(used=F("used") + 1, carried=1)
            changed.set()
            let_go.wait(20)
        connection.close()

    def count() -> Any:
        try:
            return postgres.attempt_together([asked(account) for account in accounts], patience="20s")
        finally:
            connection.close()

    changing = elsewhere.submit(change)
    changed.wait(20)
    counting = elsewhere.submit(count)
    _wait_for_a_lock()
    let_go.set()
    changing.result(20)

    with pytest.raises(DatabaseError, match="changed"):
        counting.result(20)
    assert UsageRecord.objects.filter(idempotency_key="job").count() == 0
    for account in accounts:
        assert_books_agree(account)


def _wait_for_a_lock() -> None:
    with connection.cursor() as cursor:
        waiting = 0
        while not waiting:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            )
            (waiting,) = cursor.fetchone()


def test_those_who_come_while_others_are_under_way_go_together_and_each_hears_its_own(
    accounts: list[Account],
    alice: User,
    generate: Any,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: ThreadPoolExecutor,
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    monkeypatch.setattr(together, "PATIENCE", "20s")
    busy = opened(alice, name="Busy")
    subscribe(busy, "hundred", anchor=NOON)
    generate(key="opened", account=busy)
    generate(99, key="all of it", account=accounts[3])
    seen: list[int] = []
    side_by_side = postgres.attempt_together
    monkeypatch.setattr(
        postgres,
        "attempt_together",
        lambda asks, patience: (seen.append(len(asks)), side_by_side(asks, patience=patience))[1],
    )
    held, let_go = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            generate(key="long", account=busy)
            held.set()
            let_go.wait(20)
        connection.close()

    def count(account: Account, key: str) -> Any:
        try:
            return generate(key=key, account=account).used
        except metering.AllowanceExhausted as refused:
            return refused.reason
        finally:
            connection.close()

    holding = elsewhere.submit(hold)
    held.wait(20)
    leading = elsewhere.submit(count, busy, "led")
    while not together._is_under_way:
        pass
    # Two of each account, of which one comes after the other, and one that has been counted before.
    acts: list[Future[Any]] = [
        elsewhere.submit(count, account, key) for account in accounts for key in ("opened", "first", "second")
    ]
    while len(together._waiting) < len(acts):
        pass
    let_go.set()
    holding.result(20)
    found = [act.result(20) for act in acts]

    assert leading.result(20) == 3
    assert seen[0] == len(accounts)
    for place in range(3):
        assert found[3 * place] == 1
        assert sorted(found[3 * place + 1 : 3 * place + 3]) == [2, 3]
    assert found[9:] == [1, "allowance_exhausted", "allowance_exhausted"]
    for account in (busy, *accounts):
        assert_books_agree(account)


def test_who_comes_alone_after_many_waits_for_nobody(accounts: list[Account], generate: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        pool.map(lambda account: (generate(account=account), connection.close()), accounts * 4)

    assert generate(key="alone", account=accounts[0]).used == 6
    assert generate(key="alone again", account=accounts[0]).used == 7
    assert together._expected == 1
    assert not together._is_under_way
