"""Units on their way to Stripe's meters while calls are dropped, refused and failed and senders are killed.

    ./run soak meters [--units 100000] [--seed 1] [--accounts 100] [--senders 8]

Starts a PostgreSQL of its own, or takes TEST_DATABASE_URL (its database is written to), and the simulator with a storm
at its meters: of the calls, as told apart by their idempotency key, 10 % take effect and are then dropped without an
answer, 10 % are refused with 429, 5 % fail with 500, half of them after they took effect. Whatever the SDK repeats
under the same key meets the same fate, so that the trouble reaches the sender. Meanwhile units are used, and senders
are killed with SIGKILL and replaced. At the end the ledger, the deliveries and Stripe are compared, account by account.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from soaks import senders
from soaks.storm import Storm, raging
from tests import servers

if TYPE_CHECKING:
    from accounts.models import Account
    from simulator.core import Simulator

ROOT = Path(__file__).resolve().parent.parent
# Used by so many threads at once; an act is one unit.
USERS = 4
# Longer than a claim and every pause: what the dead held is free again, and what waits is due.
A_WHILE = timedelta(minutes=15)
# In real time, the soak's clock jumps so often: nobody wants to wait for fifteen minutes.
JUMP_SECONDS = 2.0
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Verdict:
    """What was found at the end, in units where nothing else is said.

    doubled_identifiers counts those Stripe has not exactly once: more often, never, or unknown to us.
    """

    used: int
    acts: int
    deliveries: int
    tries: int
    at_stripe: int
    wrong_accounts: int
    doubled_identifiers: int
    not_sent: int
    seconds: float
    kills: int

    @property
    def is_good(self) -> bool:
        return (
            self.used == self.at_stripe
            and not self.wrong_accounts
            and not self.doubled_identifiers
            and not self.not_sent
        )


def soak(
    simulator: Simulator,
    accounts: list[Account],
    *,
    units: int,
    seed: int,
    number_of_senders: int,
    environment: dict[str, str],
    storm: Storm | None = None,
) -> Verdict:
    """Use `units` spread over the accounts while senders send and are killed; answers what came of it."""
    storm = storm or Storm(seed)
    started = time.monotonic()
    chance = random.Random(seed)
    with (
        raging(simulator, storm),
        senders.running(number_of_senders, environment=environment) as running,
        ThreadPoolExecutor(USERS) as people,
    ):
        using = [people.submit(_use, accounts, units, seed, number) for number in range(USERS)]
        next_jump = time.monotonic() + JUMP_SECONDS
        while not all(future.done() for future in using) or _waits():
            if time.monotonic() - started > LONGEST_SECONDS:
                break
            # A sender lives for some ten seconds: a call that fails takes two, with what the SDK repeats.
            time.sleep(chance.uniform(0, 20 / number_of_senders))
            running.kill_one(chance.randrange(number_of_senders))
            if time.monotonic() >= next_jump:
                _let_a_while_pass()
                next_jump = time.monotonic() + JUMP_SECONDS
        for future in using:
            future.result()
        kills = running.kills
    return _verdict(simulator, accounts, seconds=time.monotonic() - started, kills=kills)


def _use(accounts: list[Account], units: int, seed: int, number: int) -> None:
    """One person of several: every USERS-th act, at moments of the last three hours."""
    from django.db import connection
    from django.utils import timezone

    from usage import metering

    chance = random.Random(f"{seed}:{number}")
    now = timezone.now()
    try:
        for act in range(number, units, USERS):
            metering.consume(
                account=accounts[act % len(accounts)],
                feature="tokens",
                idempotency_key=f"act-{act}",
                now=now - timedelta(minutes=chance.uniform(0, 180)),
            )
    finally:
        connection.close()


def _waits() -> bool:
    from usage.models import MeterDelivery, MeterEvent

    return (
        MeterEvent.objects.filter(state=MeterEvent.State.WAITING).exists()
        or MeterDelivery.objects.waiting().exists()
    )


def _let_a_while_pass() -> None:
    from django.db.models import F

    from usage.models import MeterDelivery

    MeterDelivery.objects.waiting().update(next_attempt_at=F("next_attempt_at") - A_WHILE)


def _verdict(simulator: Simulator, accounts: list[Account], *, seconds: float, kills: int) -> Verdict:
    from django.db.models import Sum

    from billing.models import Customer
    from usage.models import MeterDelivery, UsageRecord

    customers = dict(
        Customer.objects.filter(account__in=accounts).values_list("account_id", "stripe_customer_id")
    )
    ledger = dict(
        UsageRecord.objects.filter(account__in=accounts)
        .values_list("account_id")
        .annotate(Sum("units"))
        .order_by()
    )
    counted: Counter[str] = Counter()
    names: Counter[str] = Counter()
    for event in simulator.store.all("_meter_use"):
        counted[event["customer"]] += int(event["value"])
        names[event["id"]] += 1
    mine = MeterDelivery.objects.filter(account__in=accounts)
    sent = {f"{name}:{identifier}" for name, identifier in mine.values_list("event_name", "identifier")}
    return Verdict(
        used=sum(ledger.values()),
        acts=UsageRecord.objects.filter(account__in=accounts).count(),
        deliveries=len(sent),
        tries=mine.aggregate(tries=Sum("attempts"))["tries"] or 0,
        at_stripe=sum(counted.values()),
        wrong_accounts=sum(
            ledger.get(account.pk, 0) != counted[customers.get(account.pk) or ""] for account in accounts
        ),
        doubled_identifiers=sum(number != 1 for number in names.values()) + len(set(names) ^ sent),
        not_sent=mine.exclude(state=MeterDelivery.State.SENT).count(),
        seconds=seconds,
        kills=kills,
    )


def main(words: list[str]) -> int:
    """The whole soak, with its own servers; prints what happened and answers the exit status."""
    asked = _parser().parse_args(words)
    with servers.running() as found, house(found.database_url) as environment:
        from simulator.core import Simulator
        from simulator.server import serve

        simulator = Simulator()
        running = serve(simulator, port=int(environment["STRIPE_API_BASE"].rpartition(":")[2]))
        running._server.handle_error = lambda *_: None  # the killed hang up in the middle, which is no news
        accounts = open_accounts(asked.accounts)
        storm = Storm(asked.seed)
        print(
            f"{found.described}\n{asked.units:,} units, {asked.accounts} accounts, {asked.senders} senders …",
            flush=True,
        )
        verdict = soak(
            simulator,
            accounts,
            units=asked.units,
            seed=asked.seed,
            number_of_senders=asked.senders,
            environment=environment,
            storm=storm,
        )
        running.stop()
    _print(verdict, storm)
    return 0 if verdict.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run soak meters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("units", 100_000), ("seed", 1), ("accounts", 100), ("senders", 8)):
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"default: {usual:,}")
    return parser


@contextmanager
def house(database_url: str) -> Iterator[dict[str, str]]:
    """Our side: settings, tables, the price list. Answers the environment of its processes."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-the-soak",
        "DEBUG": "0",
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "STRIPE_SECRET_KEY": "sk_test_" + "0" * 24,
        "STRIPE_API_BASE": f"http://127.0.0.1:{servers.free_port()}",
        "BILLING_CATALOG": str(ROOT / "tests" / "usage" / "catalog.toml"),
        "LOG_LEVEL": "CRITICAL",
    }
    os.environ |= environment
    _create(database_url)
    import django

    django.setup()
    from config import schema_load

    schema_load.load()
    yield environment
    from django.db import connections

    connections.close_all()


def _create(database_url: str) -> None:
    import psycopg

    server, _, name = database_url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as server_connection:
        if not server_connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            server_connection.execute(f'CREATE DATABASE "{name}"'.encode())


def open_accounts(number: int) -> list[Account]:
    """Accounts that pay by the token, known at Stripe."""
    from django.core.management import call_command
    from django.utils import timezone

    from billing.models import Customer
    from billing.stripe import gateway
    from tests import factories
    from tests.usage.conftest import subscribe

    call_command("sync_catalog", verbosity=0)
    owner = factories.person()
    found = []
    for place in range(number):
        account = factories.organization(owner=owner)
        subscribe(account, "payg", anchor=timezone.now() - timedelta(days=1))
        customer = gateway.post("/v1/customers", {"name": account.name}, idempotency_key=f"soak-{place}")
        Customer.objects.filter(account=account).update(stripe_customer_id=customer["id"])
        found.append(account)
    return found


def _print(verdict: Verdict, storm: Storm) -> None:
    rows = {
        "units used": verdict.used,
        "units at Stripe": verdict.at_stripe,
        "acts": verdict.acts,
        "deliveries": verdict.deliveries,
        "tries": verdict.tries,
        **{f"calls: {fate}": number for fate, number in sorted(storm.fates.items())},
        "senders killed": verdict.kills,
        "accounts whose sums differ": verdict.wrong_accounts,
        "identifiers not exactly once": verdict.doubled_identifiers,
        "deliveries not sent": verdict.not_sent,
    }
    for name, number in rows.items():
        print(f"{name:32}{number:>12,}")
    print(f"{'seconds':32}{verdict.seconds:>12,.0f}")
    print("PASSED: each unit is at Stripe, once." if verdict.is_good else "FAILED")
