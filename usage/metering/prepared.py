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
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from psycopg import pq

Row = Sequence[str | None]


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement that answers in text. Its parameters are $1, $2, … in order, with their types beside them."""

    name: str
    text: str

    @cached_property
    def for_cursor(self) -> str:
        return re.sub(r"\$\d+", "%s", self.text)

    @cached_property
    def knows(self) -> WeakSet[Any]:
        """The connections it is prepared on."""
        return WeakSet()


def run(statement: Statement, parameters: Sequence[object] = (), *, is_reading: bool = False) -> Row:
    """Its one row. Raises django.db.Error.

    is_reading  it may be asked twice: then it is the connection's health check of this request too, which would cost
                a round trip of its own (https://docs.djangoproject.com/en/5.2/ref/databases/#persistent-connections)
    """
    return rows(statement, parameters, is_reading=is_reading)[0]


def rows(statement: Statement, parameters: Sequence[object] = (), *, is_reading: bool = False) -> list[Row]:
    """Run it, in autocommit or in the caller's transaction, with lists as arrays. As `run`."""
    # The proxy `connection` is looked up at each use, and this would use it often.
    database: Any = connections[DEFAULT_DB_ALIAS]
    if not _may_go_straight(database):
        with database.cursor() as cursor:
            cursor.execute(statement.for_cursor, parameters)
            return list(cursor.fetchall())
    values = [None if value is None else _text(value) for value in parameters]
    if not is_reading:
        database.close_if_health_check_failed()
        return _run(statement, values, database)
    try:
        found = _run(statement, values, database)
    except DatabaseError:  # libpq says no more of it than that
        if database.health_check_done or database.is_usable():
            raise
        # The connection was left over from an earlier request, and the server has ended it since.
        database.close()
        found = _run(statement, values, database)
    database.health_check_done = True
    return found


def _may_go_straight(database: Any) -> bool:
    return not (
        database.in_atomic_block
        or database.queries_logged
        or database.execute_wrappers
        or database.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    )


def _run(statement: Statement, values: list[bytes | None], database: Any) -> list[Row]:
    database.ensure_connection()
    with database.wrap_database_errors:
        try:
            return _straight(statement, values, database.connection)
        except psycopg.errors.InvalidSqlStatementName:
            # Someone has discarded what was prepared.
            statement.knows.discard(database.connection)
            return _straight(statement, values, database.connection)


def _straight(statement: Statement, values: list[bytes | None], raw: Any) -> list[Row]:
    if raw not in statement.knows:
        _checked(raw, raw.pgconn.prepare(statement.name.encode(), statement.text.encode()))
        statement.knows.add(raw)
    result = _checked(raw, raw.pgconn.exec_prepared(statement.name.encode(), values))
    return [
        [
            None if (value := result.get_value(row, column)) is None else value.decode()
            for column in range(result.nfields)
        ]
        for row in range(result.ntuples)
    ]


def _checked(raw: Any, result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
    return result


def _text(value: object) -> bytes:
    if isinstance(value, list):
        return _array(value).encode()
    return (value.isoformat() if isinstance(value, datetime) else str(value)).encode()


def _array(values: list[object]) -> str:
    """https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO"""
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if type(value) is int:
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
