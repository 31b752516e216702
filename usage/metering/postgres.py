"""Counting in one round trip: PostgreSQL's function `usage_consume` (written by a migration) does all of it.

Early lock release: the function's transaction may commit with `synchronous_commit = off`, which lets the next in the
queue have the counter without waiting for the disk; `barrier()` then commits synchronously and so flushes everything
committed before it. Nobody is answered before that, so a crash loses nothing that was acknowledged.
https://www.postgresql.org/docs/current/wal-async-commit.html
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from usage.metering.attempts import Ask, Attempt

_CALL = (
    "SELECT outcome, seen_at, record_id, used, reserved, limit_units, period_start, period_end,"
    " credited, billed, cost, needs_barrier"
    " FROM usage_consume(%s::uuid, %s, %s::bigint, %s, %s, %s, %s, %s::bigint, %s::bigint, %s)"
)


def attempt(ask: Ask) -> Attempt:
    """Try once. In autocommit this is one round trip and one transaction; else it is part of the caller's."""
    parameters = (
        ask.account_id,
        ask.feature,
        ask.units,
        ask.idempotency_key,
        ask.now,
        ask.catalog,
        ask.meter_event_name,
        ask.user_id,
        ask.api_key_id,
        early_lock_release(),
    )
    with connection.cursor() as cursor:
        cursor.execute(_CALL, parameters)
        return Attempt(*cursor.fetchone())


def early_lock_release() -> str:
    """off | on | auto, as the settings say; inside a caller's transaction off, or theirs would be asynchronous."""
    if connection.in_atomic_block or not connection.get_autocommit():
        return "off"
    return str(settings.METERING_EARLY_LOCK_RELEASE)


def barrier() -> None:
    """Return when everything committed so far is on disk.

    A transactional logical message writes to the log and so makes its commit flush it; `txid_current()` and
    non-transactional messages do not. https://www.postgresql.org/docs/current/functions-admin.html
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_logical_emit_message(true, 'usage', '')")
