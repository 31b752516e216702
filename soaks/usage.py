"""Many processes use up one allowance at once, round after round, while PostgreSQL's backends are killed.

    ./run soak usage [--rounds 500] [--processes 16] [--attempts 250] [--threads 1] [--limit 1000] [--kill-every 25]

Each round is a new account. Every thread of every process makes its attempts, each under a key of its own, and sends
an attempt again until it is answered. Good is: exactly the limit was granted, no act that was acknowledged is missing
from the ledger, and counter, ledger and roll-up agree. A killed backend takes the whole server through crash recovery.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests import servers

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
# An act that is not answered by then, over all its tries, fails the soak.
PATIENCE_SECONDS = 90


@dataclass
class Verdict:
    """What came out. `faults` name the rounds that were not exact, and why."""

    rounds: int = 0
    granted: int = 0
    refused: int = 0
    sent_again: int = 0
    kills: int = 0
    seconds: float = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.faults


def main(words: list[str]) -> int:
    """The whole soak, with a server of its own; prints what happened and answers the exit status."""
    asked = _parser().parse_args(words)
    # A server that was only lent to us is not for killing.
    lent = bool(os.environ.get("TEST_DATABASE_URL"))
    with servers.running(durable=True) as found:
        print(f"{found.described}, {'no kills' if lent else 'with kills'}", flush=True)
        prepare(found.database_url)
        verdict = soak(
            rounds=asked.rounds,
            processes=asked.processes,
            threads=asked.threads,
            attempts=asked.attempts,
            limit=asked.limit,
            kill_every=0 if lent else asked.kill_every,
            seed=asked.seed,
        )
    print(
        f"{verdict.rounds:,} rounds in {verdict.seconds:,.0f} s: {verdict.granted:,} granted, {verdict.refused:,} "
        f"refused, {verdict.kills:,} backends killed, {verdict.sent_again:,} acts sent again."
    )
    print(
        "\n".join(verdict.faults)
        or "Exactly the limit in every round; nothing that was acknowledged is lost."
    )
    return 0 if verdict.is_good else 1


def prepare(database_url: str) -> None:
    """Settings and tables on an empty database of the server."""
    import psycopg

    place, _, _ = database_url.rpartition("/")
    with psycopg.connect(f"{place}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS tallyhouse_soak")
        connection.execute("CREATE DATABASE tallyhouse_soak")
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-the-soak",
        "DEBUG": "0",
        "DATABASE_URL": f"{place}/tallyhouse_soak",
        "BILLING_CATALOG": str(ROOT / "tests" / "usage" / "catalog.toml"),
        "LOG_LEVEL": "CRITICAL",
    }
    import django

    django.setup()
    from config import schema_load

    schema_load.load()


def soak(
    *, rounds: int, processes: int, threads: int, attempts: int, limit: int, kill_every: int, seed: int
) -> Verdict:
    """Run the rounds on the database the settings name. `kill_every` n: a backend dies in every n-th round; 0: none."""
    accounts = [_account(limit) for _ in range(rounds)]
    dice, verdict, began = random.Random(seed), Verdict(), time.monotonic()
    with _workers(accounts, processes, threads, attempts) as (start, answers):
        for number, account_id in enumerate(accounts, 1):
            start.wait(PATIENCE_SECONDS)
            if kill_every and number % kill_every == 0:
                time.sleep(dice.uniform(0.05, 0.5))
                verdict.kills += _kill_a_backend(dice)
            found = [answers.get(timeout=PATIENCE_SECONDS * 2) for _ in range(processes)]
            acknowledged = [record_id for worker in found for record_id in worker["granted"]]
            verdict.rounds += 1
            verdict.granted += len(acknowledged)
            verdict.refused += sum(worker["refused"] for worker in found)
            verdict.sent_again += sum(worker["sent_again"] for worker in found)
            wanted = min(limit, processes * threads * attempts)
            for fault in _look(account_id, acknowledged, wanted=wanted):
                verdict.faults.append(f"Round {number}: {fault}")
    verdict.seconds = time.monotonic() - began
    return verdict


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run soak usage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = {
        "rounds": 500,
        "processes": 16,
        "threads": 1,
        "attempts": 250,
        "limit": 1000,
        "kill-every": 25,
        "seed": 1,
    }
    for name, value in usual.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value:,}")
    return parser


def _account(limit: int) -> Any:
    from accounts.models import Account
    from billing import grants

    account = Account.objects.create(kind="organization", name="soak", created_at=NOW)
    grants.give(
        account=account,
        plan_key="hundred",
        kind="comped",
        reason="soak",
        now=NOW,
        overrides={"generations": limit},
    )
    return account.pk


@contextmanager
def _workers(accounts: list[Any], processes: int, threads: int, attempts: int) -> Iterator[tuple[Any, Any]]:
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(processes + 1), context.Queue()
    workers = [
        context.Process(target=_work, args=(number, accounts, threads, attempts, start, answers), daemon=True)
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    try:
        yield start, answers
        for worker in workers:
            worker.join(30)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()


def _work(number: int, accounts: list[Any], threads: int, attempts: int, start: Any, answers: Any) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for turn, account_id in enumerate(accounts):
            start.wait(PATIENCE_SECONDS * 3)
            found = list(
                pool.map(
                    lambda thread, turn=turn, account_id=account_id: _attempts(
                        account_id, f"{turn}-{number}-{thread}", attempts
                    ),
                    range(threads),
                )
            )
            answers.put(
                {
                    "granted": [record_id for granted, *_ in found for record_id in granted],
                    "refused": sum(refused for _, refused, _ in found),
                    "sent_again": sum(sent_again for *_, sent_again in found),
                }
            )


def _attempts(account_id: Any, name: str, attempts: int) -> tuple[list[int], int, int]:
    """The acts that were granted, how many were refused, and how often one had to be sent again."""
    from accounts.models import Account
    from usage import metering

    account = Account.objects.by_id_alone(account_id)
    granted: list[int] = []
    refused = sent_again = 0
    for attempt in range(attempts):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                receipt = metering.consume(
                    account=account, feature="generations", idempotency_key=f"{name}-{attempt}", now=NOW
                )
                granted.append(receipt.record_id)
                break
            except metering.AllowanceExhausted:
                refused += 1
                break
            except metering.CheckFailed:
                if time.monotonic() > deadline:
                    raise
                sent_again += 1
                _reconnect()
    return granted, refused, sent_again


def _reconnect() -> None:
    """As a web process does at its next request."""
    from django.db import connection

    connection.close()
    time.sleep(0.05)


def _kill_a_backend(dice: random.Random) -> int:
    """Kill one that serves a worker; answers how many were."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' ORDER BY pid"
        )
        pids = [pid for (pid,) in cursor.fetchall()]
    connection.close()
    if not pids:
        return 0
    os.kill(dice.choice(pids), signal.SIGKILL)
    return 1


def _look(account_id: Any, acknowledged: list[int], *, wanted: int) -> Iterator[str]:
    """What is wrong with the books of a round; nothing, when all is well."""
    from django.db import OperationalError

    from accounts.models import Account
    from usage.metering import verifying
    from usage.models import UsageRecord

    for _ in range(100):
        try:
            account = Account.objects.get(pk=account_id)
            break
        except OperationalError:
            # The server is still recovering.
            _reconnect()
    records = dict(UsageRecord.objects.filter(account=account).values_list("pk", "used_after"))
    if len(acknowledged) != wanted:
        yield f"{len(acknowledged):,} granted, {wanted:,} wanted"
    if len(records) != wanted:
        yield f"{len(records):,} acts in the ledger, {wanted:,} wanted"
    if lost := set(acknowledged) - set(records):
        yield f"{len(lost):,} acknowledged acts are not in the ledger"
    if sorted(records.values()) != list(range(1, len(records) + 1)):
        yield "the acts do not follow each other one by one"
    yield from (str(difference) for difference in verifying.differences(account))
