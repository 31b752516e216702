"""A PostgreSQL with durability on, and a thousand accounts whose plan leaves room for every run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCOUNTS = 1000
PLENTY = 10**12


@contextmanager
def database(*, flush_ms: int = 0) -> Iterator[str]:
    """The address of a server of its own, or of DATABASE_URL (with REDIS_URL), whose database is then written to."""
    given = os.environ.get("DATABASE_URL")
    if given:
        os.environ["HOUSE_REDIS_URL"] = os.environ["REDIS_URL"]
        _settings(given)
        yield given
        return
    with _slower_flushes(flush_ms), servers.running(durable=True) as found:
        print(f"{found.described}{f', each flush {flush_ms} ms longer' if flush_ms else ''}")
        _psql(found.database_url.rpartition("/")[0] + "/postgres", "CREATE DATABASE tallyhouse")
        _settings(found.database_url)
        # For the web server only, which counts the calls of a key there.
        os.environ["HOUSE_REDIS_URL"] = found.redis_url
        yield found.database_url


@contextmanager
def _slower_flushes(milliseconds: int) -> Iterator[None]:
    """Servers started meanwhile wait so much longer for the disk: what an ordinary cloud disk is like.

    Right for how queues and commits behave, though no disk is really slower. Needs a C compiler.
    """
    if not milliseconds:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="flush-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "flush.c").write_text(_FLUSH.replace("MICROSECONDS", str(milliseconds * 1000)))
        command = ["cc", "-shared", "-fPIC", "-o", str(place / "flush.so"), str(place / "flush.c"), "-ldl"]
        subprocess.run(command, check=True)
        os.environ["LD_PRELOAD"] = str(place / "flush.so")
        try:
            yield
        finally:
            os.environ.pop("LD_PRELOAD", None)


_FLUSH = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    usleep(MICROSECONDS);
    return real(fd);
}
"""


def _settings(url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-the-benchmark",
        "DEBUG": "0",
        "DATABASE_URL": url,
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "0",
        "BILLING_CATALOG": str(ROOT / "tests" / "usage" / "catalog.toml"),
        "LOG_LEVEL": "ERROR",
    }


def prepare() -> None:
    """The tables, and accounts whose plan leaves room for every run."""
    import django

    django.setup()
    from django.db import connection, connections

    from accounts.models import Account
    from billing import grants
    from config import schema_load
    from usage import metering

    schema_load.load()
    for _ in range(ACCOUNTS):
        account = Account.objects.create(kind="organization", name="bench", created_at=NOW)
        grants.give(
            account=account,
            plan_key="hundred",
            kind="comped",
            reason="benchmark",
            now=NOW,
            overrides={"generations": PLENTY},
        )
        # The first use opens the window; what is measured is all the others.
        metering.consume(account=account, feature="generations", idempotency_key="first", now=NOW)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE TABLE bench_counter (id int PRIMARY KEY, used bigint NOT NULL);
            CREATE TABLE bench_record (
                id bigserial PRIMARY KEY, account_id int NOT NULL, key text NOT NULL, units bigint NOT NULL,
                at timestamptz NOT NULL DEFAULT now(), UNIQUE (account_id, key)
            );
            INSERT INTO bench_counter SELECT n, 0 FROM generate_series(1, 1000) n;
            CREATE TABLE bench_account AS SELECT
                row_number() OVER (ORDER BY created_at, c.account_id)::int AS id, c.account_id,
                split_part(c.stamp, ':', 1)::varchar AS catalog
            FROM usage_usagecounter c JOIN accounts_account a ON a.id = c.account_id;
            CREATE UNIQUE INDEX ON bench_account (id);
            """
        )
        cursor.execute("SELECT pg_get_functiondef('usage_consume'::regproc)")
        (function,) = cursor.fetchone()
        before, _, rest = function.replace("usage_consume(", "bench_consume(", 1).partition(
            "UPDATE usage_usageday"
        )
        # The same without the roll-up, to know what that costs.
        cursor.execute(before + rest.partition("IF NOT FOUND THEN")[2].partition("END IF;")[2])
        cursor.execute("SELECT pg_get_functiondef('usage_consume_together'::regproc)")
        (function,) = cursor.fetchone()
        before, _, rest = function.replace("usage_consume_", "bench_consume_", 1).partition(
            "), totalled AS ("
        )
        cursor.execute(f"{before}), owed AS ({rest.partition('), owed AS (')[2]}")
        cursor.execute("VACUUM ANALYZE")
    connections.close_all()


def _psql(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]
