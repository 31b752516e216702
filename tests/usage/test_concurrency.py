"""However many count at once: exactly the limit is granted, and each act counts once. On real PostgreSQL."""

import multiprocessing
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Account, User
from tests.usage.conftest import NOON, assert_books_agree, opened, subscribe
from usage import metering
from usage.metering import counters, portable, postgres, together
from usage.metering.attempts import Ask, Attempt
from usage.models import MeterEvent, UsageCounter, UsageRecord

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

THREADS = 16


@pytest.fixture(params=["off", "on", "auto"])
def early_lock_release(request: pytest.FixtureRequest, settings: Any) -> str:
    settings.METERING_EARLY_LOCK_RELEASE = request.param
    return str(request.param)


def at_once(act: Callable[[int], Any]) -> list[Any]:
    """Let THREADS threads act at the same moment; what each returned."""
    start = Barrier(THREADS, timeout=20)

    def run(number: int) -> Any:
        try:
            start.wait()
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def outcome(act: Callable[[], metering.Receipt]) -> str:
    try:
        return "replayed" if act().replayed else "granted"
    except metering.AllowanceExhausted:
        return "refused"
    except metering.IdempotencyConflict:
        return "conflict"


def test_of_400_at_once_exactly_the_100_of_the_plan_are_granted(
    account: Account, generate: Any, early_lock_release: str
) -> None:
    subscribe(account, "hundred", anchor=NOON)

    found = at_once(lambda _: Counter(outcome(generate) for _ in range(25)))

    assert sum(found, Counter()) == {"granted": 100, "refused": 300}
    assert UsageCounter.objects.get().used == 100
    assert sorted(UsageRecord.objects.values_list("used_after", flat=True)) == list(range(1, 101))
    assert_books_agree(account)


def test_acts_of_several_units_never_overshoot(
    account: Account, generate: Any, early_lock_release: str
) -> None:
    subscribe(account, "hundred", anchor=NOON)

    found = at_once(lambda number: Counter(outcome(lambda: generate(7)) for _ in range(3)))

    assert sum(found, Counter()) == {"granted": 14, "refused": 34}
    assert UsageCounter.objects.get().used == 98
    assert_books_agree(account)


def test_the_same_key_from_everywhere_at_once_counts_once(
    account: Account, generate: Any, early_lock_release: str
) -> None:
    for number in range(5):
        found = at_once(lambda _, key=f"job-{number}": outcome(lambda: generate(key=key)))

        assert Counter(found) == {"granted": 1, "replayed": THREADS - 1}
    assert UsageCounter.objects.get().used == 5
    assert_books_agree(account)


def test_the_same_key_for_two_features_at_once_counts_for_one_of_them(
    account: Account, generate: Any
) -> None:
    found = Counter(
        at_once(
            lambda number: outcome(
                lambda: generate(feature=("generations", "queries")[number % 2], key="job")
            )
        )
    )

    assert found == {"granted": 1, "replayed": THREADS // 2 - 1, "conflict": THREADS // 2}
    assert UsageRecord.objects.count() == 1
    assert_books_agree(account)


def test_many_accounts_count_beside_each_other(generate: Any, alice: Any, early_lock_release: str) -> None:
    accounts = [opened(alice) for _ in range(THREADS)]

    at_once(lambda number: [outcome(lambda: generate(account=accounts[number])) for _ in range(5)])

    assert UsageCounter.objects.filter(used=5).count() == THREADS


def test_while_the_plan_goes_up_and_down_the_books_agree(account: Account, generate: Any) -> None:
    def act(number: int) -> Counter[str]:
        if number == 0:
            for turn in range(10):
                subscribe(account, ("pro", "hundred")[turn % 2], anchor=NOON - timedelta(days=turn % 3))
            return Counter()
        found: Counter[str] = Counter()
        for _ in range(12):
            try:
                found[outcome(generate)] += 1
            except metering.CheckFailed:
                found["unclear"] += 1
        return found

    found = sum(at_once(act), Counter())

    assert found["granted"] == UsageRecord.objects.count() > 0
    assert found["granted"] <= 250
    assert_books_agree(account)


def test_a_metered_act_and_its_outbox_row_come_together(account: Account, generate: Any) -> None:
    subscribe(account, "payg", anchor=NOON)

    at_once(lambda number: generate(number + 1, feature="tokens"))

    sent = dict(MeterEvent.objects.values_list("record_id", "units"))
    assert sent == dict(UsageRecord.objects.values_list("id", "units"))
    assert sum(sent.values()) == sum(range(1, THREADS + 1))


def test_early_lock_release_keeps_out_of_the_callers_transaction(
    account: Account, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "on"

    with transaction.atomic(), connection.cursor() as cursor:
        assert generate().used == 1
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)

    assert generate().used == 2


def test_a_hot_account_is_answered_only_after_the_barrier(
    account: Account, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "on"
    generate()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        (before,) = cursor.fetchone()

    generate()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", [before])
        assert cursor.fetchone() == (True,)


def test_an_act_sent_again_in_the_callers_transaction_is_on_disk_when_that_commits(
    account: Account, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    generate(key="job")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn()")
        (before,) = cursor.fetchone()

    with transaction.atomic():
        assert generate(key="job").replayed

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_flush_lsn() > %s::pg_lsn", [before])
        assert cursor.fetchone() == (True,)


def test_a_connection_that_forgot_what_was_prepared_is_no_reason_to_refuse(
    account: Account, generate: Any
) -> None:
    generate()
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")

    assert generate().used == 2
    connection.close()
    assert generate().used == 3


def test_behind_a_pooler_that_keeps_nothing_units_are_counted_alike(
    account: Account, generate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    generate(key="job")

    assert generate(key="job").replayed
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)


def test_a_server_that_went_away_is_a_check_that_failed_and_the_act_may_be_sent_again(
    account: Account, generate: Any
) -> None:
    generate()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def end_it(_: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        connection.close()

    with ThreadPoolExecutor(1) as other:
        other.submit(end_it, 0).result()
    with pytest.raises(metering.CheckFailed):
        generate(key="job")
    connection.close()

    assert generate(key="job").used == 2


@pytest.mark.parametrize("seed", range(12))
def test_the_function_answers_as_the_reference_does(seed: int, alice: Any) -> None:
    """The same random life of two accounts, one counted by the function, the other through the ORM."""
    dice = random.Random(seed)
    by_function, by_reference = (opened(alice) for _ in range(2))
    now = NOON
    for step in range(60):
        now += dice.choice([timedelta(0), timedelta(hours=5), timedelta(days=9)])
        if dice.random() < 0.15:
            plan, anchor = (
                dice.choice(["pro", "hundred", "payg", "boundless"]),
                now - timedelta(days=dice.randrange(40)),
            )
            for account in (by_function, by_reference):
                subscribe(account, plan, anchor=anchor, stripe_subscription_id=f"sub_{step}_{account.pk.hex}")
        feature = dice.choice(["generations", "queries", "tokens"])
        units, key = dice.choice([1, 1, 2, 40]), f"key-{dice.randrange(40)}"

        answers = [
            _life(account, way, feature, units, key, now)
            for account, way in ((by_function, postgres.attempt), (by_reference, portable.attempt))
        ]

        assert answers[0] == answers[1]
    assert_books_agree(by_function)
    assert_books_agree(by_reference)
    events = MeterEvent.objects.order_by("id").values_list(
        "units", "occurred_at", "event_name", "next_attempt_at"
    )
    assert list(events.filter(account=by_function)) == list(events.filter(account=by_reference))


def _life(
    account: Account, way: Callable[[Ask], Attempt], feature: str, units: int, key: str, now: Any
) -> Any:
    from billing import catalog

    plan_list = catalog.current()
    ask = Ask(
        account_id=account.pk,
        feature=feature,
        units=units,
        idempotency_key=key,
        now=now,
        catalog=plan_list.fingerprint,
        meter_event_name=plan_list.feature(feature).meter_event_name,
        user_id=None,
        api_key_id=None,
    )
    attempt = way(ask)
    if attempt.outcome == "stale":
        try:
            counters.open_at(account, feature, now=attempt.seen_at)
        except metering.FeatureNotIncluded as refused:
            return refused.reason
        attempt = way(ask)
    return (
        attempt.outcome,
        attempt.seen_at,
        attempt.used,
        attempt.reserved,
        attempt.limit,
        attempt.period_start,
        attempt.period_end,
    )


def test_nobody_waits_behind_an_account_that_is_busy_for_long(
    account: Account, alice: User, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    subscribe(account, "hundred", anchor=NOON)
    busy = opened(alice, name="Busy")
    subscribe(busy, "hundred", anchor=NOON)
    held, let_go = Event(), Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                generate(key="long", account=busy)
                held.set()
                let_go.wait(20)
        finally:
            connection.close()

    def count(number: int) -> Any:
        # Every fourth is of the busy account, and travels with the others.
        try:
            return generate(key=f"act-{number}", account=account if number % 4 else busy).used
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS + 1) as pool:
        holding = pool.submit(hold)
        held.wait(20)
        acts = [pool.submit(count, number) for number in range(THREADS)]
        free = [act.result(timeout=10) for number, act in enumerate(acts) if number % 4]
        still_waiting = [act for number, act in enumerate(acts) if not number % 4]
        assert not any(act.done() for act in still_waiting)
        let_go.set()
        holding.result(timeout=10)
        waited = [act.result(timeout=10) for act in still_waiting]

    assert sorted(free) == list(range(1, 13))
    assert sorted(waited) == [2, 3, 4, 5]
    assert_books_agree(account)
    assert_books_agree(busy)


def test_a_server_that_goes_away_under_many_has_each_of_their_acts_counted_once(
    account: Account, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    subscribe(account, "hundred", anchor=NOON)
    generate(key="opened")
    asked_again: list[str] = []

    def count(number: int) -> list[int]:
        records = []
        for turn in range(5):
            while True:
                try:
                    records.append(generate(key=f"{number}-{turn}").record_id)
                    break
                except metering.CheckFailed:
                    asked_again.append(f"{number}-{turn}")
                    connection.close()
            if number == 0:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
        return records

    connection.close()
    found = [record for records in at_once(count) for record in records]

    assert asked_again
    assert len(set(found)) == THREADS * 5
    assert UsageCounter.objects.get().used == THREADS * 5 + 1
    assert_books_agree(account)


def test_after_a_fork_the_child_waits_for_no_thread_of_its_parent(
    account: Account, generate: Any, settings: Any
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    subscribe(account, "hundred", anchor=NOON)
    generate(key="opened")
    held, let_go = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            generate(key="long")
            held.set()
            let_go.wait(20)
        connection.close()

    def lead() -> None:
        generate(key="led")
        connection.close()

    other = opened(account.members.get().user, name="Child")
    subscribe(other, "hundred", anchor=NOON)
    connection.close()
    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(hold)
        held.wait(20)
        leading = pool.submit(lead)
        child = multiprocessing.get_context("fork").Process(
            target=lambda: generate(key="in the child", account=other)
        )
        child.start()
        child.join(20)
        let_go.set()
        holding.result(20)
        leading.result(20)

    assert child.exitcode == 0
    assert_books_agree(other)


class Interrupted(BaseException):
    """As a worker's time limit interrupts its main thread."""


@pytest.fixture
def leads_for_long(
    account: Account, generate: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Account, Event]]:
    """Somebody is under way until the event is set, and everybody else waits; beside it an account that is free."""
    settings.METERING_EARLY_LOCK_RELEASE = "auto"
    monkeypatch.setattr(together, "PATIENCE", "20s")
    free = opened(account.members.get().user, name="Free")
    for one in (account, free):
        subscribe(one, "hundred", anchor=NOON)
        generate(key="opened", account=one)
    held, let_go = Event(), Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                generate(key="long")
                held.set()
                let_go.wait(20)
        finally:
            connection.close()

    def lead() -> None:
        try:
            generate(key="led")
        finally:
            connection.close()

    threads = [Thread(target=hold, daemon=True), Thread(target=lead, daemon=True)]
    threads[0].start()
    held.wait(20)
    threads[1].start()
    while not together._is_under_way:
        pass
    yield free, let_go
    let_go.set()
    for thread in threads:
        thread.join(20)


def test_who_is_interrupted_while_waiting_holds_up_nobody_after(
    leads_for_long: tuple[Account, Event], generate: Any
) -> None:
    free, let_go = leads_for_long

    def interrupt(*_: Any) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Interrupted):
            generate(key="interrupted", account=free)
    finally:
        signal.signal(signal.SIGALRM, before)
    let_go.set()

    found: list[int] = []
    after = Thread(
        target=lambda: (found.append(generate(key="after", account=free).used), connection.close())
    )
    after.daemon = True
    after.start()
    after.join(4)

    assert found == [2]


def test_who_waits_too_long_for_the_others_counts_alone(
    leads_for_long: tuple[Account, Event], generate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, _ = leads_for_long
    monkeypatch.setattr(together, "WAIT_SECONDS", 0.2)

    assert generate(key="alone", account=free).used == 2

    assert_books_agree(free)
