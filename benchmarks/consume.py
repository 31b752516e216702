"""How fast units are counted, on one hot account and on a thousand, as ratios to pgbench on the same server.

    .venv/bin/python -m benchmarks.consume [--seconds 3] [--rounds 3] [--clients 16]

Starts a PostgreSQL of its own with durability on, or takes DATABASE_URL (its database is written to). Everything runs
at once on this machine: clients, server and pgbench. A client is a process that calls `metering.consume` in a loop.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCOUNTS = 1000
PLENTY = 10**12

SCRIPTS = {
    "update": "UPDATE bench_counter SET used = used + 1 WHERE id = :id AND used + 1 <= 1000000000000;",
    "transaction": """BEGIN;
UPDATE bench_counter SET used = used + 1 WHERE id = :id AND used + 1 <= 1000000000000;
INSERT INTO bench_record (account_id, key, units) VALUES (:id, gen_random_uuid()::text, 1);
COMMIT;""",
    "one statement": """WITH counted AS (
    UPDATE bench_counter SET used = used + 1 WHERE id = :id AND used + 1 <= 1000000000000 RETURNING used
) INSERT INTO bench_record (account_id, key, units) SELECT :id, gen_random_uuid()::text, 1 FROM counted;""",
    # Our function without Python around it: what the server can do.
    "usage_consume": """SELECT outcome FROM bench_account, usage_consume(
    account_id, 'generations', 1, gen_random_uuid()::text, '2026-11-20 12:00+00', catalog, NULL, NULL, NULL, 'off'
) WHERE id = :id;""",
}


def main() -> None:
    options = _options()
    with _database() as url:
        _prepare()
        print(f"{options.clients} clients, {options.seconds} s, median of {options.rounds} rounds\n")
        print(f"{'':34}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
        found: dict[str, float] = {}
        for place in ("hot", "many"):
            for script in SCRIPTS:
                found[f"pgbench {script}, {place}"] = _show(
                    f"pgbench {script}, {place}",
                    lambda s=script, p=place: _pgbench(url, s, p, options),
                    options,
                )
            for mode in ("off", "on", "auto", "reference"):
                found[f"{mode}, {place}"] = _show(
                    f"consume, {_called(mode)}, {place}",
                    lambda m=mode, p=place: _consume(m, p, options),
                    options,
                )
        _ratios(found)
        _check_books()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    return parser.parse_args()


def _called(mode: str) -> str:
    return "through the ORM" if mode == "reference" else f"early release {mode}"


@contextmanager
def _database() -> Iterator[str]:
    given = os.environ.get("DATABASE_URL")
    if given:
        _settings(given)
        yield given
        return
    with servers.running(durable=True) as found:
        print(found.described)
        _psql(found.database_url.rpartition("/")[0] + "/postgres", "CREATE DATABASE tallyhouse")
        _settings(found.database_url)
        yield found.database_url


def _settings(url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-the-benchmark",
        "DEBUG": "0",
        "DATABASE_URL": url,
        "BILLING_CATALOG": str(ROOT / "tests" / "usage" / "catalog.toml"),
        "LOG_LEVEL": "ERROR",
    }


def _prepare() -> None:
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
        cursor.execute("VACUUM ANALYZE")
    connections.close_all()


def _show(name: str, run: Callable[[], tuple[float, float, float]], options: argparse.Namespace) -> float:
    rounds = sorted(run() for _ in range(options.rounds))
    rate, p50, p99 = rounds[len(rounds) // 2]
    print(f"{name:34}{rate:12,.0f}{p50:9.1f}{p99:9.1f}", flush=True)
    return rate


def _consume(mode: str, place: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Acts per second, and the median and 99th percentile of one act in milliseconds."""
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(options.clients + 1), context.Queue()
    clients = [
        context.Process(
            target=_client, args=(number, mode, place, options.seconds, start, results), daemon=True
        )
        for number in range(options.clients)
    ]
    for client in clients:
        client.start()
    start.wait(120)
    taken: list[float] = []
    for _ in clients:
        taken += results.get(timeout=options.seconds + 60)
    for client in clients:
        client.join(30)
    cuts = statistics.quantiles(taken, n=100)
    return len(taken) / options.seconds, cuts[49] * 1000, cuts[98] * 1000


def _client(number: int, mode: str, place: str, seconds: float, start: Any, results: Any) -> None:
    import random

    from django.conf import settings

    from accounts.models import Account
    from usage import metering
    from usage.metering import consuming, portable

    if mode == "reference":
        # Through the same verb, with the portable way in the place of the function.
        consuming._attempt = portable.attempt
    else:
        settings.METERING_EARLY_LOCK_RELEASE = mode
    accounts = list(Account.objects.order_by("created_at", "id")[: 1 if place == "hot" else ACCOUNTS])
    dice, prefix = random.Random(number), f"{mode}-{place}-{number}-{time.time_ns()}"

    def act(count: int) -> None:
        metering.consume(
            account=dice.choice(accounts),
            feature="generations",
            idempotency_key=f"{prefix}-{count}",
            now=NOW,
        )

    for count in range(20):
        act(-count - 1)
    taken = []
    start.wait(120)
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        act(len(taken))
        taken.append(time.perf_counter() - begun)
    results.put(taken)


def _pgbench(url: str, script: str, place: str, options: argparse.Namespace) -> tuple[float, float, float]:
    where = urlsplit(url)
    with tempfile.TemporaryDirectory(prefix="pgbench-") as folder:
        file = Path(folder) / "script.sql"
        file.write_text(f"\\set id {'1' if place == 'hot' else 'random(1, 1000)'}\n{SCRIPTS[script]}\n")
        command = [
            str(_pgbench_program()),
            *("--no-vacuum", "--protocol=prepared", f"--file={file}", "--log", f"--log-prefix={folder}/log"),
            *(f"--client={options.clients}", "--jobs=2", f"--time={max(round(options.seconds), 1)}"),
            *("-h", str(where.hostname), "-p", str(where.port), "-U", str(where.username), where.path[1:]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        rate = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
        taken = [
            int(line.split()[2]) / 1000
            for log in Path(folder).glob("log.*")
            for line in log.read_text().splitlines()
        ]
    cuts = statistics.quantiles(taken, n=100)
    return float(rate.split()[2]), cuts[49], cuts[98]


def _pgbench_program() -> Path:
    folder, _ = servers._postgres_programs("installed")
    program = folder / "pgbench"
    if not program.exists():
        raise SystemExit(
            "This benchmark compares with pgbench, which is part of PostgreSQL's client tools: install them."
        )
    return program


def _psql(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def _ratios(found: dict[str, float]) -> None:
    print("\nRatios, each within this run:")
    naive, single = found["pgbench transaction, hot"], found["pgbench one statement, many"]
    for mode in ("off", "on", "auto"):
        print(
            f"  early release {mode:5}"
            f" hot / pgbench transaction {found[f'{mode}, hot'] / naive:5.2f}"
            f"   many / pgbench one statement {found[f'{mode}, many'] / single:5.2f}"
            f"   hot / many {found[f'{mode}, hot'] / found[f'{mode}, many']:5.2f}"
            f"   / ORM hot {found[f'{mode}, hot'] / found['reference, hot']:5.2f}"
            f" many {found[f'{mode}, many'] / found['reference, many']:5.2f}"
        )


def _check_books() -> None:
    """A fast counter that counts wrong is worth nothing."""
    from django.db.models import Sum

    from usage.models import UsageCounter, UsageDay, UsageRecord

    totals = {
        UsageCounter.objects.aggregate(n=Sum("used"))["n"],
        UsageRecord.objects.aggregate(n=Sum("units"))["n"],
        UsageDay.objects.aggregate(n=Sum("units"))["n"],
    }
    if len(totals) != 1:
        raise SystemExit(f"The books do not agree: {totals}")
    print(f"\nCounter, ledger and roll-up agree on {totals.pop():,} units.")


if __name__ == "__main__":
    main()
