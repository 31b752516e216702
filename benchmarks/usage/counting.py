"""How fast units are counted, on one hot account and on a thousand, as ratios to pgbench on the same server.

Everything runs at once on this machine: clients, server and pgbench. A client is a thread that calls
`metering.consume` in a loop with a connection of its own; --processes says in how many processes they are, as web
servers have it. Acts of one process that meet travel together (usage/metering/together.py).
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.usage.house import ACCOUNTS, NOW
from tests import servers

# Acts per second, median and 99th percentile in milliseconds.
Measured = tuple[float, float, float]

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
    "usage_consume": """SELECT usage_consume(
    account_id, 'generations', 1, gen_random_uuid()::text, '2026-11-20 12:00+00', catalog, NULL, NULL, NULL, 'off'
) FROM bench_account WHERE id = :id;""",
}


def measure(url: str, options: argparse.Namespace) -> None:
    """Acts per second and latencies of every mode, in turns with pgbench, and the ratios."""
    print(
        f"\n{options.clients} clients in {options.processes} processes, {options.seconds} s,"
        f" median of {options.rounds} rounds\n"
    )
    print(f"{'':34}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    measured: dict[str, list[Measured]] = {}
    # In turns, so that what else the machine does meets all of them.
    for _ in range(options.rounds):
        for place in ("hot", "many"):
            for script in SCRIPTS:
                found = _pgbench(url, script, place, options)
                measured.setdefault(f"pgbench {script}, {place}", []).append(found)
            for mode in ("off", "on", "auto", "without the roll-up", "reference"):
                found = _consume(mode, place, options)
                measured.setdefault(f"consume, {_called(mode)}, {place}", []).append(found)
    rates = {}
    for name, rounds in measured.items():
        rate, p50, p99 = sorted(rounds)[len(rounds) // 2]
        rates[name] = rate
        print(f"{name:40}{rate:12,.0f}{p50:9.1f}{p99:9.1f}", flush=True)
    _ratios(rates)
    _check_books()


def _called(mode: str) -> str:
    return {"reference": "through the ORM", "without the roll-up": mode}.get(mode, f"early release {mode}")


def _consume(mode: str, place: str, options: argparse.Namespace) -> tuple[float, float, float]:
    """Acts per second, and the median and 99th percentile of one act in milliseconds."""
    context = multiprocessing.get_context("fork")
    processes = min(options.processes, options.clients)
    start, results = context.Barrier(processes + 1), context.Queue()
    workers = [
        context.Process(
            target=_process,
            args=(
                number,
                range(number, options.clients, processes),
                mode,
                place,
                options.seconds,
                start,
                results,
            ),
            daemon=True,
        )
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    start.wait(120)
    taken: list[float] = []
    for _ in workers:
        taken += results.get(timeout=options.seconds + 60)
    for worker in workers:
        worker.join(30)
    cuts = statistics.quantiles(taken, n=100)
    return len(taken) / options.seconds, cuts[49] * 1000, cuts[98] * 1000


def _process(
    number: int, clients: range, mode: str, place: str, seconds: float, start: Any, results: Any
) -> None:
    from django.conf import settings

    from accounts.models import Account
    from usage.metering import portable, postgres, prepared, together

    if mode == "reference":
        # Through the same verb, with the portable way in the place of the function.
        together.attempt = portable.attempt
    else:
        settings.METERING_EARLY_LOCK_RELEASE = "auto" if mode == "without the roll-up" else mode
    if mode == "without the roll-up":
        for name in ("_CONSUME", "_CONSUME_TOGETHER"):
            text = getattr(postgres, name).text.replace("usage_consume", "bench_consume")
            setattr(postgres, name, prepared.Statement(f"bench{name}", text))
    accounts = list(Account.objects.order_by("created_at", "id")[: 1 if place == "hot" else ACCOUNTS])
    ready = threading.Barrier(len(clients), action=lambda: start.wait(120) and None)
    with ThreadPoolExecutor(len(clients)) as pool:
        prefix = f"{mode}-{place}-{number}-{time.time_ns()}"
        found = pool.map(lambda client: _client(f"{prefix}-{client}", accounts, seconds, ready), clients)
        results.put([taken for of_one in found for taken in of_one])


def _client(prefix: str, accounts: list[Any], seconds: float, ready: threading.Barrier) -> list[float]:
    """What each act of one client took, in seconds."""
    from usage import metering

    dice = random.Random(prefix)

    def act(count: int) -> None:
        metering.consume(
            account=dice.choice(accounts),
            feature="generations",
            idempotency_key=f"{prefix}-{count}",
            now=NOW,
        )

    for count in range(20):
        act(-count - 1)
    taken: list[float] = []
    ready.wait(120)
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        act(len(taken))
        taken.append(time.perf_counter() - begun)
    return taken


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


def _ratios(rates: dict[str, float]) -> None:
    print("\nRatios, each within this run:")
    naive, single = rates["pgbench transaction, hot"], rates["pgbench one statement, many"]
    for mode in ("off", "on", "auto"):
        hot, many = (rates[f"consume, early release {mode}, {place}"] for place in ("hot", "many"))
        print(
            f"  early release {mode:5}"
            f" hot / pgbench transaction {hot / naive:5.2f}   many / pgbench one statement {many / single:5.2f}"
            f"   hot / many {hot / many:5.2f}   / ORM hot {hot / rates['consume, through the ORM, hot']:5.2f}"
            f" many {many / rates['consume, through the ORM, many']:5.2f}"
        )
    for place in ("hot", "many"):
        cost = (
            1
            - rates[f"consume, early release auto, {place}"] / rates[f"consume, without the roll-up, {place}"]
        )
        print(f"  the roll-up costs, {place}: {cost:.0%}")


def _check_books() -> None:
    """A fast counter that counts wrong is worth nothing."""
    from django.db.models import Sum

    from usage.models import UsageCounter, UsageDay, UsageRecord

    left_out = UsageRecord.objects.filter(idempotency_key__startswith="without").aggregate(n=Sum("units"))[
        "n"
    ]
    totals = {
        UsageCounter.objects.aggregate(n=Sum("used"))["n"],
        UsageRecord.objects.aggregate(n=Sum("units"))["n"],
        UsageDay.objects.aggregate(n=Sum("units"))["n"] + (left_out or 0),
    }
    if len(totals) != 1:
        raise SystemExit(f"The books do not agree: {totals}")
    print(f"\nCounter, ledger and roll-up agree on {totals.pop():,} units.")
