"""The tests' database: dj-stripe's tables from its models, our own migrations for real, on either engine."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase

from tests.stack import emptying, loaded


def pytest_report_header() -> str:
    redis = settings.REDIS_URL or "none (Celery's filesystem transport)"
    return f"database: {connection.vendor}, redis: {redis}, catalog: {settings.BILLING_CATALOG}"


# Who asks for none of these, and is not marked `django_db`, is kept from the database by pytest-django.
WAYS_TO_THE_DATABASE = {"db", "transactional_db", "live_server", "django_db_reset_sequences"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what touches no database, leave to the other pass what is about the other one, put long ones first.

    A long test that comes last lets the other processes wait.
    """
    for item in items:
        asked_for = set(getattr(item, "fixturenames", ()))
        if not item.get_closest_marker("django_db") and not asked_for & WAYS_TO_THE_DATABASE:
            item.add_marker("no_database")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    other = "sqlite" if connection.vendor == "postgresql" else "postgres"
    left_out = [item for item in items if item.get_closest_marker(other)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(other)]


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: Any, django_db_modify_db_settings: None
) -> Iterator[None]:
    """One database for the session, in seconds; pytest-django's own would `migrate` for 40 (schema_load)."""
    with django_db_blocker.unblock():
        real_name = connection.settings_dict["NAME"]
        loaded.create()
    yield
    emptying.end()
    with django_db_blocker.unblock():
        connection.creation.destroy_test_db(real_name, verbosity=0)


@pytest.fixture(autouse=True)
def _nothing_remembered_from_the_last_test() -> None:
    """Rate limits and other cached counts start at zero."""
    cache.clear()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_quickly() -> Iterator[None]:
    """After a test with real transactions, empty only the tables that were written to.

    Django's own flush truncates all hundred tables and fills content types and permissions again: half a
    second on PostgreSQL for each test.
    """
    stock = TransactionTestCase._fixture_teardown

    def teardown(self: TransactionTestCase) -> None:
        if not emptying.empty_written_tables():
            stock(self)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[method-assign]
    yield
    TransactionTestCase._fixture_teardown = stock  # type: ignore[method-assign]
