"""Empties the tables that a test with real transactions wrote to, in a millisecond or two."""

from functools import cache

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

KEPT_TABLES = {"django_migrations", "django_content_type", "auth_permission"}


def empty_written_tables() -> bool:
    """True when done; False when this database user may not look away from triggers and foreign keys."""
    if connection.vendor != "postgresql":
        _one_by_one()
        return True
    own = _own_connection()
    if own is None:
        return False
    own.close_if_unusable_or_obsolete()  # a test may have ended every connection
    with own.cursor() as cursor:
        cursor.execute("SELECT tests.empty_written_tables()")
    return True


def end() -> None:
    """Hang up, so that the database can be removed."""
    own = _own_connection() if _own_connection.cache_info().currsize else None
    if own is not None:
        own.close()
    _own_connection.cache_clear()


@cache
def _tables() -> list[str]:
    return sorted(set(connection.introspection.django_table_names(only_existing=True)) - KEPT_TABLES)


def _one_by_one() -> None:
    quote = connection.ops.quote_name
    with transaction.atomic(), connection.cursor() as cursor:
        written = ", ".join(f"EXISTS (SELECT 1 FROM {quote(table)})" for table in _tables())
        cursor.execute(f"SELECT {written}")
        for table, is_written in zip(_tables(), cursor.fetchone(), strict=True):
            if is_written:
                cursor.execute(f"DELETE FROM {quote(table)}")


@cache
def _own_connection() -> BaseDatabaseWrapper | None:
    """A connection that ignores triggers and foreign keys, to a database that has the function; or None.

    Its plans last as long as it does. To plan a question for each of a hundred tables takes PostgreSQL longer than
    many a test, and switching triggers off and on would throw the plans away.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            return None
    own: BaseDatabaseWrapper = connection.copy()
    options = own.settings_dict["OPTIONS"]
    options["options"] = f"{options.get('options', '')} -c session_replication_role=replica"
    quote = own.ops.quote_name
    steps = " ".join(
        f"IF EXISTS (SELECT 1 FROM {quote(table)}) THEN DELETE FROM {quote(table)}; END IF;"
        for table in _tables()
    )
    with own.cursor() as cursor:
        # Not among ours: tests/test_schema_load.py compares those.
        cursor.execute("CREATE SCHEMA IF NOT EXISTS tests")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION tests.empty_written_tables() RETURNS void LANGUAGE plpgsql AS $$ "
            f"BEGIN {steps} END $$"
        )
    return own
