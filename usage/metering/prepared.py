"""The hot statements by the shortest way there is: prepared once per connection, without a cursor around them.

Django's cursor and psycopg's together take longer over a small answer than PostgreSQL does to count, so this speaks to
libpq as psycopg offers it (https://www.psycopg.org/psycopg3/docs/api/pq.html). Inside a transaction, while queries are
logged or watched, and behind a pooler that cannot keep prepared statements (DISABLE_SERVER_SIDE_CURSORS says so, as to
Django itself: https://docs.djangoproject.com/en/5.2/ref/databases/#transaction-pooling-server-side-cursors) a
statement goes through Django's cursor like any other.
"""

from __future__ import annotations

import re
import select
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
    values = _values(parameters)
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


def each(statement: Statement, many: Sequence[Sequence[object]]) -> list[Row | DatabaseError]:
    """Run it for each of `many`, each in a transaction of its own, all of them sent before the first is answered.

    For statements of one row, a few dozen at a time, while `may_go_straight`. An error ends only the act it met: it
    stands in the place of the row. Raises django.db.Error when it cannot be known what became of any of them.

    https://www.postgresql.org/docs/current/libpq-pipeline-mode.html
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    sent = [_values(parameters) for parameters in many]
    database.close_if_health_check_failed()
    database.ensure_connection()
    try:
        with database.wrap_database_errors:
            return _pipeline(statement, sent, database)
    except BaseException:
        # Answers that nobody has read would be taken for those of the next.
        database.close()
        raise


def may_go_straight() -> bool:
    """Whether statements of this thread go without a cursor just now, each its own transaction."""
    return _may_go_straight(connections[DEFAULT_DB_ALIAS])


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
    _prepare(statement, raw)
    result = _checked(raw, raw.pgconn.exec_prepared(statement.name.encode(), values))
    return [_row(result, number) for number in range(result.ntuples)]


def _prepare(statement: Statement, raw: Any) -> None:
    if raw not in statement.knows:
        _checked(raw, raw.pgconn.prepare(statement.name.encode(), statement.text.encode()))
        statement.knows.add(raw)


def _row(result: pq.abc.PGresult, number: int) -> Row:
    return [
        None if (value := result.get_value(number, column)) is None else value.decode()
        for column in range(result.nfields)
    ]


def _pipeline(
    statement: Statement, sent: list[list[bytes | None]], database: Any
) -> list[Row | DatabaseError]:
    raw = database.connection
    _prepare(statement, raw)
    line, name = raw.pgconn, statement.name.encode()
    line.enter_pipeline_mode()
    for values in sent:
        line.send_query_prepared(name, values)
        # Ends its transaction, and is where the next goes on after an error.
        line.pipeline_sync()
    answers = [_answer(statement, database) for _ in sent]
    line.exit_pipeline_mode()
    return answers


def _answer(statement: Statement, database: Any) -> Row | DatabaseError:
    raw = database.connection
    result = _next(raw)
    if result is None or _next(raw) is not None:
        raise psycopg.OperationalError("the connection was lost between two answers")
    end = _next(raw)
    if end is None or end.status != pq.ExecStatus.PIPELINE_SYNC:
        raise psycopg.OperationalError("the connection was lost before the end of an answer")
    if result.status == pq.ExecStatus.TUPLES_OK:
        return _row(result, 0)
    error = psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
    if isinstance(error, psycopg.errors.InvalidSqlStatementName):
        # Someone has discarded what was prepared; the next will prepare it anew.
        statement.knows.discard(raw)
    return _as_django_says(error, database)


def _next(raw: Any) -> pq.abc.PGresult | None:
    line = raw.pgconn
    while line.is_busy():
        # libpq would wait too, but keep every other thread waiting with it.
        arrivals = select.poll()
        arrivals.register(line.socket, select.POLLIN)
        arrivals.poll()
        line.consume_input()
    result: pq.abc.PGresult | None = line.get_result()
    return result


def _as_django_says(error: psycopg.Error, database: Any) -> DatabaseError:
    try:
        with database.wrap_database_errors:
            raise error
    except DatabaseError as said:
        return said


def _checked(raw: Any, result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.errors.error_from_result(result, encoding=raw.info.encoding)
    return result


def _values(parameters: Sequence[object]) -> list[bytes | None]:
    return [None if value is None else _text(value) for value in parameters]


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
