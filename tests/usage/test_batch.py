"""Many acts in one call: all of them or none, or each by itself; sent again they count once."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import SimpleQueue
from threading import Barrier
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.db import connection

from accounts.models import Account, Member, User
from billing import credits
from config import nudge
from tests.usage.conftest import NOON, assert_books_agree, subscribe
from usage import budgets, metering
from usage.alerts.hearing import LOOK
from usage.metering import Line
from usage.models import MeterEvent, UsageCounter, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

Send = Callable[..., list[Any]]


@pytest.fixture
def send(account: Account) -> Send:
    def act(*lines: tuple[str, int, str], mode: str = "all", **more: Any) -> list[Any]:
        return metering.consume_batch(
            **{
                "account": account,
                "lines": [Line(*line) for line in lines],
                "mode": mode,
                "now": NOON,
                **more,
            }
        )

    return act


def test_a_batch_is_answered_line_by_line_as_if_each_had_been_sent_alone(
    account: Account, send: Send, generate: Any
) -> None:
    subscribe(account, "pro", anchor=NOON)
    generate(9)
    generate(2, feature="queries")

    answers = send(("generations", 5, "a"), ("queries", 3, "b"), ("generations", 1, "c"))

    assert [(answer.feature, answer.units, answer.used) for answer in answers] == [
        ("generations", 5, 14),
        ("queries", 3, 5),
        ("generations", 1, 15),
    ]
    assert [answer.remaining for answer in answers] == [236, 95, 235]
    found = {record.idempotency_key: record.pk for record in UsageRecord.objects.all()}
    assert [answer.record_id for answer in answers] == [found["a"], found["b"], found["c"]]
    assert_books_agree(account)


def test_sent_again_a_batch_counts_once_and_is_answered_alike(account: Account, send: Send) -> None:
    lines = [("generations", 2, "a"), ("queries", 1, "b"), ("generations", 2, "c")]
    first = send(*lines)

    again = send(*lines)

    assert [answer.record_id for answer in again] == [answer.record_id for answer in first]
    assert all(answer.replayed for answer in again)
    assert UsageRecord.objects.count() == 3
    # And with a line more, only that one is new.
    assert [answer.replayed for answer in send(*lines, ("queries", 1, "d"))] == [True, True, True, False]
    assert_books_agree(account)


def test_a_key_twice_in_one_batch_counts_once_and_for_something_else_is_a_conflict(
    account: Account, send: Send
) -> None:
    answers = send(("queries", 1, "a"), ("queries", 1, "a"), mode="each")
    assert [answer.replayed for answer in answers] == [False, True]

    answers = send(("queries", 1, "b"), ("queries", 2, "b"), mode="each")
    assert isinstance(answers[1], metering.IdempotencyConflict)
    assert UsageCounter.objects.get().used == 2


def test_all_or_nothing_names_the_line_that_did_not_fit(account: Account, send: Send) -> None:
    with pytest.raises(metering.BatchRefused) as refused:
        send(("generations", 3, "a"), ("generations", 3, "b"), ("queries", 1, "c"))

    assert refused.value.line == 1
    assert isinstance(refused.value.fault, metering.AllowanceExhausted)
    assert refused.value.fault.remaining == 2
    assert "None of the lines was counted" in str(refused.value)
    assert not UsageRecord.objects.exists()
    assert_books_agree(account)


def test_each_by_itself_counts_what_fits_and_says_what_does_not(account: Account, send: Send) -> None:
    answers = send(
        ("generations", 3, "a"),
        ("generations", 3, "b"),
        ("generations", 2, "c"),
        ("documents", 1, "d"),
        ("no such thing", 1, "e"),
        ("queries", 0, "f"),
        ("queries", 1, ""),
        ("queries", 5, "g"),
        mode="each",
    )

    assert [type(answer).__name__ for answer in answers] == [
        "Receipt",
        "AllowanceExhausted",
        "Receipt",
        "FeatureNotIncluded",
        "UnknownFeature",
        "InvalidUnits",
        "InvalidKey",
        "Receipt",
    ]
    assert sorted(UsageRecord.objects.values_list("idempotency_key", flat=True)) == ["a", "c", "g"]
    assert_books_agree(account)


@pytest.mark.parametrize("line", [("no such thing", 1, "e"), ("queries", -1, "f"), ("queries", 1, "x" * 201)])
def test_all_or_nothing_refuses_a_batch_with_a_line_that_is_none(
    send: Send, line: tuple[str, int, str]
) -> None:
    with pytest.raises(metering.BatchRefused) as refused:
        send(("generations", 1, "a"), line)

    assert refused.value.line == 1
    assert not UsageRecord.objects.exists()


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_has_some_lines_and_not_too_many(send: Send, count: int) -> None:
    with pytest.raises(metering.InvalidBatch):
        send(*(("queries", 1, str(number)) for number in range(count)))


def test_paid_units_of_a_batch_are_owed_to_the_meter_act_by_act(account: Account, send: Send) -> None:
    subscribe(account, "payg", anchor=NOON)
    send(("tokens", 1, "first"))

    answers = send(("tokens", 3, "a"), ("tokens", 4, "b"))

    assert [(answer.used, answer.limit, answer.cost) for answer in answers] == [
        (4, None, 150),
        (8, None, 200),
    ]
    assert list(MeterEvent.objects.order_by("record_id").values_list("units", flat=True)) == [1, 3, 4]
    assert_books_agree(account)


def test_where_the_allowance_ends_inside_a_batch_credits_and_then_money_go_on(
    account: Account, send: Send, settings: Any
) -> None:
    settings.BILLING_CATALOG = settings.BILLING_CATALOG.replace("catalog.toml", "sources.toml")
    subscribe(account, "pages", anchor=NOON)
    send(("pages", 1, "first"))
    answers = send(("pages", 94, "a"), ("pages", 10, "b"), ("pages", 1, "c"))
    assert [answer.cost for answer in answers] == [0, 15, 3]
    assert [answer.used for answer in answers] == [95, 105, 106]

    credits.give(
        account=account, feature="pages", units=4, source="gift", source_key="x", reason="test", now=NOON
    )
    budgets.set_budget(account=account, amount=21, now=NOON, by=None)
    answers = send(("pages", 3, "d"), ("pages", 2, "e"), ("pages", 1, "f"), mode="each")

    assert [[source.kind for source in answer.sources] for answer in answers[:2]] == [
        ["credits"],
        ["credits", "paid"],
    ]
    assert isinstance(answers[2], metering.BudgetReached)
    assert_books_agree(account)


def test_without_a_limit_a_batch_has_none_either(account: Account, send: Send) -> None:
    subscribe(account, "boundless", anchor=NOON)
    send(("tokens", 1, "first"))

    answers = send(("tokens", 10**9, "a"), ("tokens", 10**9, "b"))

    assert [(answer.used, answer.limit, answer.cost) for answer in answers] == [
        (10**9 + 1, None, 0),
        (2 * 10**9 + 1, None, 0),
    ]
    assert_books_agree(account)


def test_a_guest_gets_nothing_out_of_a_batch(account: Account, send: Send, bob: User) -> None:
    Member.objects.filter(account=account, user=bob).update(role="guest")

    with pytest.raises(metering.BatchRefused, match="Guests"):
        send(("queries", 1, "a"), user=bob)
    (refused,) = send(("queries", 1, "a"), user=bob, mode="each")

    assert refused.reason == "role"
    assert not UsageRecord.objects.exists()


def test_a_batch_opens_its_windows_itself(account: Account, send: Send) -> None:
    later = NOON + timedelta(days=40)
    assert send(("generations", 1, "a"), ("queries", 1, "b"))[0].used == 1

    assert [answer.used for answer in send(("generations", 2, "c"), ("queries", 2, "d"), now=later)] == [2, 2]
    assert_books_agree(account)


@pytest.mark.postgres
@pytest.mark.parametrize("mode", ["off", "on", "auto"])
def test_batches_from_everywhere_at_once_grant_exactly_the_limit(
    account: Account, send: Send, settings: Any, mode: str
) -> None:
    settings.METERING_EARLY_LOCK_RELEASE = mode
    subscribe(account, "hundred", anchor=NOON)
    start = Barrier(8, timeout=20)

    def run(number: int) -> Counter[str]:
        found: Counter[str] = Counter()
        try:
            start.wait()
            for turn in range(4):
                lines = [("generations", 1, f"{number}-{turn}-{line}") for line in range(7)]
                found.update(type(answer).__name__ for answer in send(*lines, mode="each"))
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(8) as pool:
        total = sum(pool.map(run, range(8)), Counter())

    assert total == {"Receipt": 100, "AllowanceExhausted": 124}
    assert sorted(UsageRecord.objects.values_list("used_after", flat=True)) == list(range(1, 101))
    assert_books_agree(account)


@pytest.fixture
def published() -> Iterator[SimpleQueue[str]]:
    """The names of the tasks that workers are asked for meanwhile."""
    names: SimpleQueue[str] = SimpleQueue()

    def note(sender: str, **_: Any) -> None:
        names.put(sender)

    before_task_publish.connect(note)
    # What earlier tests asked for is asked for with this, and then nothing is left of it.
    nudge.workers(LOOK)
    while names.get(timeout=20) != LOOK:
        continue
    yield names
    before_task_publish.disconnect(note)


def test_a_batch_that_goes_over_a_mark_wakes_the_look_out_as_single_acts_do(
    account: Account, send: Send, generate: Any, published: SimpleQueue[str]
) -> None:
    subscribe(account, "pro", anchor=NOON)
    generate(1)  # over no mark; the window is open, so that a batch is counted at once

    send(*(("generations", 2, f"a-{number}") for number in range(99)))

    assert published.get(timeout=20) == LOOK
