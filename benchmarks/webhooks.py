"""How fast letters from Stripe are taken in, beside a view that asks the database for 1, and how fast they are read.

    .venv/bin/python -m benchmarks.webhooks [--seconds 4] [--rounds 3] [--clients 16] [--customers 40]

Starts PostgreSQL with durability on, Redis, the web server of the Procfile and the small Stripe, all on this machine.
A client is a process with one connection that posts signed letters of its own, 2.2 KB each, every one different.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from tests import servers

SECRET = "whsec_" + "b" * 32
PRICE = "hybrid_pro_month"
BYTES = 2200
PRODUCTION = {
    "DEBUG": "0",
    "STRIPE_ALLOW_TEST_MODE": "1",
    "STRIPE_API_BASE": "https://api.stripe.com",
    "BASE_URL": "https://127.0.0.1",
    "SECURE_SSL_REDIRECT": "0",
}


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        found = stack.enter_context(servers.running(durable=True))
        print(found.described)
        stripe_port = servers.free_port()
        _settings(found.database_url, found.redis_url, f"http://127.0.0.1:{stripe_port}")
        _prepare(found.database_url)
        port = stack.enter_context(_web())
        intake(port, options)
        stack.enter_context(_stripe(stripe_port))
        reading(options)


def intake(port: int, options: argparse.Namespace) -> None:
    """Requests per second and latency of both addresses, in turns, and the ratio of the medians."""
    print(f"\n{options.clients} clients, {options.seconds} s, median of {options.rounds} rounds")
    print(f"{'':24}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    kinds: dict[str, Callable[[int, int], list[bytes]]] = {"SELECT 1": _asking, "webhook": _letters}
    runs: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in kinds}
    _run(port, _asking, options, seconds=1)  # the server warms up
    for number in range(options.rounds):
        for kind, requests in kinds.items():
            runs[kind].append(_run(port, requests, options, seconds=options.seconds, number=number))
    medians = {}
    for kind, measured in runs.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*measured, strict=True))
        medians[kind] = rate
        print(f"{kind:24}{rate:>12,.0f}{p50:>9.1f}{p99:>9.1f}")
    print(f"webhook / SELECT 1: {medians['webhook'] / medians['SELECT 1']:.2f}")


def reading(options: argparse.Namespace) -> None:
    """Letters read per second by one worker: twenty of each customer together, then one of each."""
    from django.core.management import call_command
    from django.utils import timezone

    from billing.models import WebhookEvent
    from billing.stripe import inbox
    from tests import factories
    from tests.billing import purchases

    WebhookEvent.objects.all().delete()
    call_command("sync_catalog", verbosity=0)
    customers = []
    for _ in range(options.customers):
        account = factories.person().personal_account
        customers.append(purchases.buy(account, PRICE).customer)
    print(f"\n{'':32}{'letters':>9}{'seconds':>9}{'per second':>12}")
    for each, called in (
        (1, "the first letter of each"),
        (20, "twenty letters of each"),
        (1, "one letter of each"),
    ):
        for customer in customers:
            for _ in range(each):
                _keep(customer)
        began = time.perf_counter()
        read = 0
        while helping := inbox.drain(now=timezone.now(), limit=1000):
            read += helping
        took = time.perf_counter() - began
        print(f"{called:32}{read:>9,}{took:>9.2f}{read / took:>12,.0f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--customers", type=int, default=40)
    return parser.parse_args()


def _settings(database_url: str, redis_url: str, stripe_url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "benchmarks.webhooks_settings",
        "SECRET_KEY": "only-for-the-benchmark-" + "k" * 40,
        "DEBUG": "1",  # for the reading, which needs the stand-in for Stripe; the web server runs without
        "DEMO": "0",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "BILLING_CATALOG": "hybrid",
        "STRIPE_SECRET_KEY": "sk_test_" + "0" * 24,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "STRIPE_API_BASE": stripe_url,
        "STRIPE_PAGE_ORIGINS": stripe_url,
        "ALLOWED_HOSTS": "127.0.0.1",
    }


def _prepare(database_url: str) -> None:
    import django
    import psycopg

    place, _, name = database_url.rpartition("/")
    with psycopg.connect(f"{place}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    django.setup()
    from config import schema_load

    schema_load.load()


@contextmanager
def _web() -> Iterator[int]:
    port = servers.free_port()
    command = ["granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    options = ["--blocking-threads", "4", "--no-ws", "--log-level", "error"]
    address = f"http://127.0.0.1:{port}/select-1/"
    with _process([*command, *options, "config.wsgi:application"], address, as_in_production=True):
        yield port


@contextmanager
def _stripe(port: int) -> Iterator[None]:
    with _process(["simulator", "--port", str(port)], f"http://127.0.0.1:{port}/_sim/health"):
        yield


@contextmanager
def _process(command: list[str], address: str, *, as_in_production: bool = False) -> Iterator[None]:
    surroundings = {**os.environ, **(PRODUCTION if as_in_production else {})}
    process = subprocess.Popen([sys.executable, "-m", *command], env=surroundings, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _keep(customer: str) -> None:
    from django.utils import timezone

    from billing.stripe import envelope, inbox

    body = _body(customer, f"{customer}{time.perf_counter_ns()}")
    inbox.keep(letter=envelope.read(body), body=body, now=timezone.now())


def _body(customer: str, unique: str) -> bytes:
    event = {
        "id": f"evt_{unique}",
        "object": "event",
        "api_version": "2026-08-26.dahlia",
        "created": int(time.time()),
        "livemode": False,
        "type": "customer.subscription.updated",
        "data": {"object": {"id": "sub_1", "object": "subscription", "customer": customer, "note": ""}},
    }
    event["data"]["object"]["note"] = "x" * (BYTES - len(json.dumps(event)))  # type: ignore[index]
    return json.dumps(event).encode()


def _asking(client: int, round_number: int) -> list[bytes]:
    return [b"GET /select-1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"]


def _letters(client: int, round_number: int) -> list[bytes]:
    """Enough different signed letters for one round of one client."""
    from billing.stripe import signature

    requests = []
    for number in range(4000):
        body = _body(f"cus_{client}_{number % 50}", f"{client}_{round_number}_{number}_{time.time_ns()}")
        seal = signature.sign(body=body, secret=SECRET, at=datetime.now(UTC))
        head = f"POST /stripe/webhook/ HTTP/1.1\r\nHost: 127.0.0.1\r\nStripe-Signature: {seal}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    return requests


def _run(
    port: int,
    requests: Callable[[int, int], list[bytes]],
    options: argparse.Namespace,
    *,
    seconds: float,
    number: int = -1,
) -> tuple[float, float, float]:
    """Requests per second, median and 99th percentile in milliseconds, over all clients."""
    context = multiprocessing.get_context("fork")
    answers: Any = context.Queue()
    start = context.Barrier(options.clients)
    clients = [
        context.Process(target=_client, args=(port, requests, client, number, seconds, start, answers))
        for client in range(options.clients)
    ]
    for client in clients:
        client.start()
    took = [second for _ in clients for second in answers.get(timeout=120)]
    for client in clients:
        client.join()
    took.sort()
    return len(took) / seconds, took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000


def _client(
    port: int,
    requests: Callable[[int, int], list[bytes]],
    client: int,
    number: int,
    seconds: float,
    start: Any,
    answers: Any,
) -> None:
    prepared = requests(client, number)
    took: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start.wait()
        deadline = time.perf_counter() + seconds
        turn = 0
        while (began := time.perf_counter()) < deadline:
            connection.sendall(prepared[turn % len(prepared)])
            turn += 1
            _expect_200(connection)
            took.append(time.perf_counter() - began)
    answers.put(took)


def _expect_200(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), received
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)


if __name__ == "__main__":
    main()
