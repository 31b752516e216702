"""A database with every table: made by one process of a run, and copied by the others."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from config import schema_load

# A folder that lives as long as a run and is shared by its processes; without it each makes its own database.
SHARED = "TEST_LOADED_DATABASES"


def create() -> None:
    """The test database of this process, with the schema of our migrations; `connection` leads there from now on."""
    if SHARED not in os.environ:
        _make()
        return
    kept = _Kept(Path(os.environ[SHARED]))
    with kept.alone():
        if kept.is_there():
            kept.copy()
        else:
            _make()
            kept.keep()


def _make() -> None:
    _create_empty()
    schema_load.load()


def _create_empty() -> None:
    name = connection.creation._create_test_db(verbosity=0, autoclobber=True, keepdb=False)
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


class _Kept:
    """What the first process leaves for the others: a file, or a database on the server."""

    def __init__(self, home: Path) -> None:
        # That it is of this run is said by a mark in the folder: a server outlives a run that was killed.
        self.mark = home / connection.vendor
        self.name = connection.ops.quote_name(f"test_loaded_{home.name}")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self.mark.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_there(self) -> bool:
        return self.mark.exists()

    def keep(self) -> None:
        connection.close()  # PostgreSQL copies a database nobody is in; SQLite's file is whole when nobody has it open
        if connection.vendor == "postgresql":
            ours = connection.ops.quote_name(connection.settings_dict["NAME"])
            with connection.creation._nodb_cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {self.name} TEMPLATE {ours}")
            self.mark.touch()
        else:
            draft = self.mark.with_suffix(".draft")
            shutil.copyfile(connection.settings_dict["NAME"], draft)
            draft.rename(self.mark)

    def copy(self) -> None:
        if connection.vendor == "postgresql":
            connection.settings_dict["TEST"]["TEMPLATE"] = self.name.strip('"')
            _create_empty()
        else:
            _create_empty()
            shutil.copyfile(self.mark, connection.settings_dict["NAME"])
