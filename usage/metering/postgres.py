"""Counting in one round trip: PostgreSQL's function `usage_consume` (written by a migration) does all of it.

Early lock release: the function's transaction may commit with `synchronous_commit = off`, which lets the next in the
queue have the counter without waiting for the disk; `barrier()` then commits synchronously and so flushes everything
committed before it. Nobody is answered before that, so a crash loses nothing that was acknowledged.
https://www.postgresql.org/docs/current/wal-async-commit.html
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from usage.metering import prepared
from usage.metering.attempts import Ask, Attempt, Outcome

_CONSUME = prepared.Statement(
    "usage_consume",
    "SELECT usage_consume($1::uuid, $2::varchar, $3::bigint, $4::varchar, $5::timestamptz, $6::varchar, $7::varchar,"
    " $8::bigint, $9::bigint, $10::varchar, $11::varchar)",
)
_CONSUME_TOGETHER = prepared.Statement(
    "usage_consume_together",
    "SELECT usage_consume_together($1::uuid[], $2::varchar[], $3::bigint[], $4::varchar[], $5::timestamptz[],"
    " $6::varchar[], $7::varchar[], $8::bigint[], $9::bigint[], $10::varchar)",
)
# A transactional message writes to the log and so makes its commit flush it; `txid_current()` and others do not.
# https://www.postgresql.org/docs/current/functions-admin.html
_BARRIER = prepared.Statement("usage_barrier", "SELECT pg_logical_emit_message(true, 'usage', '')::text")

_CONSUME_BATCH = prepared.Statement(
    "usage_consume_batch",
    "SELECT outcome, seen_at::text, array_to_string(record_ids, ','), used_before::text, reserved::text,"
    " limit_units::text, free::text, unit_amount::text, period_start::text, period_end::text, needs_barrier::text"
    " FROM usage_consume_batch($1::uuid, $2::varchar[], $3::int[], $4::bigint[], $5::varchar[], $6::timestamptz,"
    " $7::varchar, $8::varchar[], $9::bigint, $10::bigint, $11::varchar)",
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a batch came to for one feature: `granted`, or `asks` when it takes more than one look.

    `free` units of the allowance were left before the batch; what the lines need beyond is paid for.
    """

    outcome: str
    seen_at: datetime
    record_ids: list[int]
    used_before: int
    reserved: int
    limit: int | None
    free: int
    unit_amount: int | None
    period_start: datetime | None
    period_end: datetime | None
    needs_barrier: bool


def attempt(ask: Ask, *, release: str | None = None, patience: str | None = None) -> Attempt:
    """Try once. In autocommit this is one round trip and one transaction; else it is part of the caller's.

    release   "on" when the caller waits for `barrier` in any case; else as `early_lock_release` says
    patience  how long to wait at most for others who count the same, such as "50ms"; django.db.OperationalError then
    """
    (answer,) = prepared.run(_CONSUME, _parameters(ask, release or early_lock_release(), patience))
    return _attempt(answer)


def attempt_each(asks: list[Ask], *, patience: str) -> list[Attempt | DatabaseError]:
    """Try them all, each in its own transaction whose lock is released early: nobody is answered before `barrier`."""
    answers = prepared.each(_CONSUME, [_parameters(ask, "on", patience) for ask in asks])
    return [answer if isinstance(answer, DatabaseError) else _attempt(answer[0]) for answer in answers]


def attempt_together(asks: list[Ask], *, patience: str) -> list[Attempt | None]:
    """Count those which need no second look in one transaction, which is quicker; the others have counted nothing.

    No two of them may be of one account and feature. Nobody is answered before `barrier`. Raises django.db.Error,
    and then none was counted, unless the connection was lost.
    """
    columns = zip(*map(_what, asks), strict=True)
    (answer,) = prepared.run(_CONSUME_TOGETHER, [*map(list, columns), patience])
    found: list[Attempt | None] = [None] * len(asks)
    for line in answer.split("\n") if answer else ():
        number, _, said = line.partition("|")
        found[int(number) - 1] = _attempt(said)
    return found


def _parameters(ask: Ask, release: str, patience: str | None) -> tuple[object, ...]:
    return (*_what(ask), release, patience)


def _what(ask: Ask) -> tuple[object, ...]:
    return (
        ask.account_id,
        ask.feature,
        ask.units,
        ask.idempotency_key,
        ask.now,
        ask.catalog,
        ask.meter_event_name,
        ask.user_id,
        ask.api_key_id,
    )


def _attempt(answer: str | None) -> Attempt:
    assert answer is not None
    outcome, seen_at, record_id, used, reserved, limit, start, end, credited, billed, cost, hot = (
        answer.split("|")
    )
    return Attempt(
        cast(Outcome, outcome),
        datetime.fromisoformat(seen_at),
        record_id=int(record_id) if record_id else None,
        used=int(used),
        reserved=int(reserved),
        limit=int(limit) if limit else None,
        period_start=datetime.fromisoformat(start) if start else None,
        period_end=datetime.fromisoformat(end) if end else None,
        credited=int(credited),
        billed=int(billed),
        cost=int(cost),
        needs_barrier=hot == "t",
    )


def attempt_batch(
    *,
    account_id: uuid.UUID,
    features: list[str],
    which: list[int],
    units: list[int],
    keys: list[str],
    now: datetime,
    catalog: str,
    meter_events: list[str | None],
    user_id: int | None,
    api_key_id: int | None,
) -> list[Counted]:
    """Try many acts at once; line n is `units[n]` of `features[which[n] - 1]` under `keys[n]`. One answer a feature,
    in their order; or a single one that says `asks`, and nothing was counted."""
    parameters = (
        account_id,
        features,
        which,
        units,
        keys,
        now,
        catalog,
        meter_events,
        user_id,
        api_key_id,
        early_lock_release(),
    )
    return [_counted(row) for row in prepared.rows(_CONSUME_BATCH, parameters)]


def _counted(row: prepared.Row) -> Counted:
    outcome, seen_at, ids, used, reserved, limit, free, amount, start, end, needs_barrier = row
    assert outcome and seen_at
    return Counted(
        outcome,
        datetime.fromisoformat(seen_at),
        record_ids=[int(record_id) for record_id in ids.split(",")] if ids else [],
        used_before=int(used or 0),
        reserved=int(reserved or 0),
        limit=int(limit) if limit else None,
        free=int(free or 0),
        unit_amount=int(amount) if amount else None,
        period_start=datetime.fromisoformat(start) if start else None,
        period_end=datetime.fromisoformat(end) if end else None,
        needs_barrier=needs_barrier == "true",
    )


def early_lock_release() -> str:
    """off | on | auto, as the settings say; inside a caller's transaction off, or theirs would be asynchronous."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block or not database.get_autocommit():
        return "off"
    return str(settings.METERING_EARLY_LOCK_RELEASE)


def barrier() -> None:
    """Return when everything committed so far is on disk."""
    prepared.run(_BARRIER)
