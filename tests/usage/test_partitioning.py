"""A ledger in monthly parts counts as one table does: every key once, in whatever month."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account, User
from tests.usage.conftest import NOON, assert_books_agree, opened, subscribe
from tests.usage.test_together import asked
from usage import metering
from usage.metering import partitioning, postgres, verifying
from usage.models import UsageRecord

# Everything happens in one transaction that is undone, the division of the table too.
pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def test_a_divided_ledger_counts_and_refuses_as_before(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON - timedelta(days=5))
    before = generate(3, key="job-1")
    subscribe(account, "payg", anchor=NOON - timedelta(days=5))
    generate(2, feature="tokens", key="job-2")
    subscribe(account, "pro", anchor=NOON - timedelta(days=5))

    partitioning.divide(now=NOON)
    made = partitioning.add_months(now=NOON, ahead=2)

    assert made == ["usage_usagerecord_2026_12", "usage_usagerecord_2027_01"]
    assert partitioning.add_months(now=NOON, ahead=2) == []
    assert partitioning.is_in_parts()
    # Old and new acts, in this month and the next: each key counts once.
    assert generate(3, key="job-1").record_id == before.record_id
    after = generate(4, key="job-3")
    december = generate(5, key="job-4", now=datetime(2026, 12, 10, tzinfo=UTC))
    assert before.record_id < after.record_id < december.record_id
    assert generate(5, key="job-4", now=datetime(2027, 1, 10, tzinfo=UTC)).replayed
    with pytest.raises(metering.IdempotencyConflict):
        generate(6, key="job-4", now=datetime(2027, 1, 10, tzinfo=UTC))
    assert generate(1, key="job-5", now=datetime(2031, 1, 10, tzinfo=UTC)).used == 1
    assert [record.pk for record in UsageRecord.objects.filter(idempotency_key="job-4")] == [
        december.record_id
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text, count(*) FROM usage_usagerecord GROUP BY 1 ORDER BY 1"
        )
        assert cursor.fetchall() == [
            ("usage_usagerecord_2026_12", 1),
            ("usage_usagerecord_ahead", 1),
            ("usage_usagerecord_until_parts", 3),
        ]
    assert_books_agree(account)
    assert verifying.differences(account) == []


def test_a_batch_and_a_slow_act_count_in_parts_too(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON)
    generate(1, key="first")
    partitioning.divide(now=NOON)
    lines = [metering.Line("generations", 2, f"line-{number}") for number in range(3)]

    first = metering.consume_batch(account=account, lines=lines, now=NOON)
    again = metering.consume_batch(account=account, lines=lines, now=NOON)

    assert [answer.used for answer in first] == [3, 5, 7]  # type: ignore[union-attr]
    assert all(answer.replayed for answer in again)  # type: ignore[union-attr]
    assert_books_agree(account)


def test_acts_side_by_side_count_in_parts_too(account: Account, alice: User, generate: Any) -> None:
    other = opened(alice)
    for one in (account, other):
        subscribe(one, "pro", anchor=NOON)
        generate(1, key="first", account=one)
    partitioning.divide(now=NOON)
    asks = [asked(account, idempotency_key="first"), asked(other)]

    first = postgres.attempt_together(asks, patience="50ms")
    again = postgres.attempt_together(asks, patience="50ms")

    assert [answer and answer.used for answer in first] == [None, 2]
    assert again == [None, None]
    assert_books_agree(account)
    assert_books_agree(other)


def test_it_is_divided_once_and_only_when_that_was_said() -> None:
    with pytest.raises(CommandError, match="--divide"):
        call_command("partition_usage")
    call_command("partition_usage", divide=True, ahead=1)
    with pytest.raises(ValueError, match="already"):
        partitioning.divide(now=NOON)
    call_command("partition_usage", ahead=2)
