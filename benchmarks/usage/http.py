"""Counting over HTTP with a service key, beside a view that does nothing but `SELECT 1`, on the same granian."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from functools import partial

from benchmarks import webhooks
from tests import servers

# Of a batch: what a product gathers in a moment, and the most that one call takes.
LINES = (100, 1000)


def measure(url: str, options: argparse.Namespace) -> None:
    """Requests per second of each, in turns, and the ratios of the medians."""
    key, accounts = _key_and_accounts()
    surroundings = {
        "DJANGO_SETTINGS_MODULE": "benchmarks.webhooks_settings",
        "API_CALLS_PER_MINUTE": "1000000000",
        "SECRET_KEY": "only-for-the-benchmark-" + "k" * 40,
        "STRIPE_SECRET_KEY": "sk_test_" + "0" * 24,
        "STRIPE_WEBHOOK_SECRETS": "whsec_" + "b" * 32,
        "REDIS_URL": os.environ["HOUSE_REDIS_URL"],
    }
    kept = dict(os.environ)
    os.environ.update(surroundings)
    port = servers.free_port()
    command = ["granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    threads = ["--blocking-threads", "4", "--no-ws", "--log-level", "error"]
    kinds = {
        "SELECT 1": webhooks._asking,
        "POST /usage, many accounts": lambda client, turn: _acts(key, accounts, client, turn),
        "POST /usage, one account": lambda client, turn: _acts(key, accounts[:1], client, turn),
        **{
            f"POST /usage/batch, {lines:,} lines": partial(_batches, key, accounts[0], lines)
            for lines in LINES
        },
    }
    runs: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    try:
        with webhooks._process(
            [*command, *threads, "config.wsgi:application"],
            f"http://127.0.0.1:{port}/select-1/",
            as_in_production=True,
        ):
            for number in range(-1, options.rounds):
                for kind, requests in kinds.items():
                    found = webhooks._run(port, requests, options, seconds=options.seconds, number=number)
                    # The first turn warms the server up.
                    if number >= 0:
                        runs[kind].append(found)
    finally:
        os.environ.clear()
        os.environ.update(kept)
    print(f"\n{options.clients} clients, {options.seconds} s, median of {options.rounds} rounds")
    print(f"{'':34}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    rates = {}
    for kind, measured in runs.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*measured, strict=True))
        rates[kind] = rate
        print(f"{kind:34}{rate:>12,.0f}{p50:>9.1f}{p99:>9.1f}")
    single, many, hot, *batches = rates.values()
    print(f"POST /usage / SELECT 1: many {many / single:.2f}, one account {hot / single:.2f}")
    for lines, batch in zip(LINES, batches, strict=True):
        print(f"units per second in batches of {lines:,}, one account: {batch * lines:,.0f}")


def _key_and_accounts() -> tuple[str, list[str]]:
    from django.db import connections

    from accounts import api_keys
    from accounts.models import Account
    from billing import clock

    _, key = api_keys.issue(kind="service", name="benchmark", now=clock.wall())
    accounts = [str(pk) for pk in Account.objects.order_by("created_at", "id").values_list("pk", flat=True)]
    connections.close_all()
    return key, accounts


def _acts(key: str, accounts: list[str], client: int, turn: int) -> list[bytes]:
    prefix = f"http-{len(accounts)}-{client}-{turn}-{time.time_ns()}"
    return [
        _post(
            key,
            "/api/v1/usage",
            {
                "account": accounts[(number * 37 + client * 61) % len(accounts)],
                "feature": "generations",
                "idempotency_key": f"{prefix}-{number}",
            },
        )
        for number in range(4000)
    ]


def _batches(key: str, account: str, lines: int, client: int, turn: int) -> list[bytes]:
    prefix = f"batch-{lines}-{client}-{turn}-{time.time_ns()}"
    return [
        _post(
            key,
            "/api/v1/usage/batch",
            {
                "account": account,
                "lines": [
                    {"feature": "generations", "idempotency_key": f"{prefix}-{number}-{line}"}
                    for line in range(lines)
                ],
            },
        )
        # More than a client gets answered in a turn: none is sent twice.
        for number in range(40_000 // lines)
    ]


def _post(key: str, address: str, body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content
