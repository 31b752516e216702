"""Fill an empty database in seconds: dj-stripe's tables from its models, then everybody's migrations."""

from django.apps import apps
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

SLOW_APP = "djstripe"


def load(*, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Bring the database `using` up to date; answers True when dj-stripe's tables were created the quick way.

    dj-stripe's own migrations replay 523 schema changes and take 30 to 45 seconds on any database, to arrive
    at tables that its models describe completely. An embedded, demo or test database has no history to keep,
    so the tables are created from the models and the migrations recorded as done. A database that already
    knows dj-stripe gets plain `migrate`, as production always does. A test compares the two results.
    """
    connection = connections[using]
    loads = _is_new_to(connection)
    if loads:
        # Everybody else first: dj-stripe points at the user table, and beside its many models each later step of
        # other apps would be slow. None of them may depend on it.
        _migrate_the_others(connection)
        _create_tables(connection)
    call_command("migrate", database=using, verbosity=0)
    return loads


def _is_new_to(connection: BaseDatabaseWrapper) -> bool:
    return not any(app == SLOW_APP for app, _ in MigrationRecorder(connection).applied_migrations())


def _migrate_the_others(connection: BaseDatabaseWrapper) -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([node for node in executor.loader.graph.leaf_nodes() if node[0] != SLOW_APP])


def _create_tables(connection: BaseDatabaseWrapper) -> None:
    recorder = MigrationRecorder(connection)
    known = MigrationLoader(connection).disk_migrations or {}
    # One transaction: a start that is killed here leaves nothing behind, and the next one begins again.
    with connection.schema_editor() as editor:
        for model in apps.get_app_config(SLOW_APP).get_models():
            if model._meta.managed and not model._meta.proxy:
                editor.create_model(model)
        for app, name in known:
            if app == SLOW_APP:
                recorder.record_applied(app, name)
