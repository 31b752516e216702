"""The quick way to a database leads to the same database as the slow one, and may be taken twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from environ import Env

from config import schema_load

QUESTIONS = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision, is_nullable,
               is_identity
          FROM information_schema.columns WHERE table_schema = 'public'""",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "migrations": "SELECT app, name FROM django_migrations",
}
# As `manage.py migrate` does it. Each of some 500 steps makes dozens of model classes anew, and Python by itself would
# look through all of memory for what is left of them a hundred times: a third of the time.
STOCK_MIGRATE = """
import gc
from django.core.management import execute_from_command_line
gc.set_threshold(100_000, 50, 1000)
execute_from_command_line(["manage.py", "migrate", "--verbosity", "0", "--skip-checks"])
"""
# dj-stripe's history made the ids of three many-to-many tables integers; its models say bigint. Both hold.
BIGGER_IDS = {
    "djstripe_djstripeinvoicedefaulttaxrate",
    "djstripe_djstripeinvoiceitemtaxrate",
    "djstripe_djstripesubscriptionitemtaxrate",
}


@pytest.fixture
def migrated_the_slow_way(transactional_db: None) -> Iterator[str]:
    """The URL of a second database on the same server, made by the stock `migrate` of production."""
    here = connection.settings_dict
    name = f"{here['NAME']}_stock"
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}"')
    password = f":{here['PASSWORD']}" if here["PASSWORD"] else ""
    url = f"postgres://{here['USER']}{password}@{here['HOST']}:{here['PORT']}/{name}"
    subprocess.run(
        [sys.executable, "-c", STOCK_MIGRATE],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": url},
        check=True,
        timeout=300,
    )
    yield url
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE "{name}"')


@pytest.mark.postgres
@pytest.mark.slow
def test_a_loaded_database_is_the_same_as_a_migrated_one(migrated_the_slow_way: str) -> None:
    loaded = _described(Env.db_url_config(str(_url_of_the_loaded_one())))
    migrated = _described(Env.db_url_config(migrated_the_slow_way))

    for question in QUESTIONS:
        missing, extra = migrated[question] - loaded[question], loaded[question] - migrated[question]
        if question == "columns":
            assert {row[0] for row in missing if row[1] == "id"} == BIGGER_IDS
            missing, extra = _without_bigger_ids(missing), _without_bigger_ids(extra)
        assert (missing, extra) == (set(), set()), f"{question} differ"
    assert len(loaded["columns"]) > 500


def test_loading_twice_changes_nothing(db: None) -> None:
    before = MigrationRecorder(connection).applied_migrations().keys()

    loaded_again = schema_load.load()

    assert not loaded_again
    assert MigrationRecorder(connection).applied_migrations().keys() == before


def test_our_models_have_all_their_migrations(db: None) -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def _url_of_the_loaded_one() -> str:
    here = connection.settings_dict
    password = f":{here['PASSWORD']}" if here["PASSWORD"] else ""
    return f"postgres://{here['USER']}{password}@{here['HOST']}:{here['PORT']}/{here['NAME']}"


def _described(database: dict[str, Any]) -> dict[str, set[tuple[Any, ...]]]:
    import psycopg

    with psycopg.connect(
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"] or None,
        host=database["HOST"],
        port=database["PORT"] or None,
    ) as opened:
        return {name: set(opened.execute(question).fetchall()) for name, question in QUESTIONS.items()}


def _without_bigger_ids(columns: set[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    return {row for row in columns if not (row[1] == "id" and row[0] in BIGGER_IDS)}
