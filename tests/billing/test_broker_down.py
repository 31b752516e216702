"""The broker is away or stands still: the letter box answers at once all the same, and all is read afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from billing.models import Subscription, WebhookEvent
from billing.stripe import signature
from tests import servers
from tests.billing import purchases
from tests.billing.letters import ADDRESS, letter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres, pytest.mark.slow]

PRICE = "hybrid_pro_month"


class Broker:
    """A Redis of this test's own, which can be frozen, thawed, killed and started again at the same address."""

    def __init__(self, place: Path):
        self.program, _ = servers._redis_program("installed")
        self.port = servers.free_port()
        self.place = place
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                str(self.program),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.place)),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: servers._answers(self.port), seconds=20, what="the broker listens")

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()


def wait_until(fact: Callable[[], object], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"Not within {seconds:.0f} seconds: {what}."
        time.sleep(0.05)


@pytest.fixture
def house(shop, settings):
    """Web server, worker and beat as in production, on this test's database and with a broker of its own."""
    settings.STRIPE_TEST_CLOCKS = False
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tallyhouse-broker-")))
        broker = Broker(place)
        stack.callback(broker.kill)
        database = connection.settings_dict
        surroundings = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": f"postgres://{database['USER']}:{database['PASSWORD']}"
            f"@{database['HOST']}:{database['PORT']}/{database['NAME']}",
            "REDIS_URL": f"redis://127.0.0.1:{broker.port}/0",
            "DEMO": "0",
            "LOG_LEVEL": "WARNING",
            "BILLING_CATALOG": "hybrid",
        }
        port = servers.free_port()
        web = ["granian", "--interface", "wsgi", "--port", str(port), "--blocking-threads", "8", "--no-ws"]
        clockwork = ["celery", "--app", "config.celery", "worker", "--pool", "threads", "--concurrency", "2"]
        beat = ["--beat", "--schedule", str(place / "beat")]
        started = []
        for command in ([*web, "config.wsgi:application"], [*clockwork, *beat]):
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=surroundings, start_new_session=True
            )
            stack.callback(end, process)
            started.append(process)
        wait_until(lambda: is_open(port), seconds=60, what="the web server listens")
        yield House(shop, broker, started[0], f"http://127.0.0.1:{port}{ADDRESS}")


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def end(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class House:
    def __init__(self, shop, broker, web, address):
        self.shop, self.broker, self.web, self.address = shop, broker, web, address

    def post(self, event) -> float:
        """Post one letter; answers how many seconds the box took to say 200."""
        body = json.dumps(event).encode()
        seal = signature.sign(body=body, secret=django_settings.STRIPE_WEBHOOK_SECRETS[0], at=timezone.now())
        request = urllib.request.Request(self.address, body, {"Stripe-Signature": seal}, method="POST")
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        return time.monotonic() - began

    def buys_something(self, account) -> float:
        """A purchase whose letters all arrive now; answers the longest time one of them took."""
        purchases.buy(account, PRICE)
        events = [delivery.event for delivery in self.shop.deliveries.take()]
        with ThreadPoolExecutor(8) as pool:
            return max(pool.map(self.post, events))

    def has_plan(self, account) -> bool:
        return Subscription.objects.filter(account=account, status="active", plan_key="pro").exists()


def everything_is_read():
    return not WebhookEvent.objects.filter(state__in=WebhookEvent.WAITING).exists()


def test_with_the_broker_frozen_or_gone_letters_are_taken_at_once_and_read_afterwards(
    house, alice, bob, charlie
):
    house.buys_something(alice.personal_account)
    wait_until(lambda: house.has_plan(alice.personal_account), seconds=60, what="the worker is nudged")

    house.broker.freeze()
    frozen = house.buys_something(bob.personal_account)
    again = max(house.post(letter(about={"id": "cus_x", "object": "product"})) for _ in range(5))
    house.broker.thaw()
    wait_until(lambda: house.has_plan(bob.personal_account), seconds=90, what="the letters are read")

    house.broker.kill()
    gone = house.buys_something(charlie.personal_account)
    end(house.web)  # so that nobody but the sweep knows of these letters
    house.broker.start()
    wait_until(
        lambda: house.has_plan(charlie.personal_account), seconds=90, what="the sweep finds the letters"
    )

    wait_until(everything_is_read, seconds=60, what="nothing is left over")
    print(f"answered within {frozen:.2f} s frozen, {again:.2f} s still frozen, {gone:.2f} s gone")
    assert max(frozen, again, gone) < 5
