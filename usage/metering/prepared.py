"""The hot statements by the shortest way there is: prepared once per connection, without a cursor around them.

Django's cursor and psycopg's together take longer over a small answer than PostgreSQL does to count, so this speaks to
libpq as psycopg offers it (https://www.psycopg.org/psycopg3/docs/api/pq.html). Inside a transaction, while queries are
logged or watched, and behind a pooler that cannot keep prepared statements (DISABLE_SERVER_SIDE_CURSORS says so, as to
Django itself: https://docs.djangoproject.com/en/5.2/ref/databases/#transaction-pooling-server-side-cursors) a
statement goes through Django's cursor like any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import pq

Row = Sequence[str | None]


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement that answers one row of text. Its parameters are $1, $2, … in order, with their types beside them."""

    name: str
    text: str

    @cached_property
    def for_cursor(self) -> str:
        return re.sub(r"\$\d+", "%s", self.text)

    @cached_property
    def knows(self) -> WeakSet[Any]:
        """The connections it is prepared on."""
        return WeakSet()


def run(statement: Statement, parameters: Sequence[object] = ()) -> Row:
    """Run it, in autocommit or in the caller's transaction. Raises django.db.Error."""
    # The proxy `connection` is looked up at each use, and this would use it often.
    database: Any = connections[DEFAULT_DB_ALIAS]
    if not _may_go_straight(database):
        with database.cursor() as cursor:
            cursor.execute(statement.for_cursor, parameters)
            row: Row = cursor.fetchone()
            return row
    database.close_if_health_check_failed()
    database.ensure_connection()
    values = [None if value is None else _text(value) for value in parameters]
    with database.wrap_database_errors:
        try:
            return _straight(statement, values, database.connection)
        except psycopg.errors.InvalidSqlStatementName:
            # Someone has discarded what was prepared.
            statement.knows.discard(database.connection)
            return _straight(statement, values, database.connection)


def _may_go_straight(database: Any) -> bool:
    return not (
        database.in_atomic_block
        or database.queries_logged
        or database.execute_wrappers
        or database.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    )


def _straight(statement: Statement, values: list[bytes | None], raw: Any) -> Row:
    if raw not in statement.knows:
        _checked(raw, raw.pgconn.prepare(statement.name.encode(), statement.text.encode()))
        statement.knows.add(raw)
    result = _checked(raw, raw.pgconn.exec_prepared(statement.name.encode(), values))
    columns = [result.get_value(0, number) for number in range(result.nfields)]
    return [None if column is None else column.decode() for column in columns]


def _checked(raw: Any, result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
    return result


def _text(value: object) -> bytes:
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()
