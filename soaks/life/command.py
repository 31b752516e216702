"""`./run soak life`: customers of each business live for years in simulated time; the first difference is shown.

    ./run soak life [--seed 1] [--business kaboot] [--accounts 50] [--months 36]

Buys, tries, uses, exhausts, changes, adds and drops seats, cancels, resumes, fails to pay, pays and takes the money
back, while Stripe's letters are lost, doubled, late and out of order. After each step the invoices, the allowances and
the access are held against a calculation that shares no code with the house. Takes TEST_DATABASE_URL (its database is
written to, and may be a file: sqlite:////dev/shm/life.sqlite), or a PostgreSQL of its own. Exit status 1 when something
differs.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soaks.life import births, comparing, terms
from tests import servers

if TYPE_CHECKING:
    from simulator.core import Simulator
    from soaks.life.people import Person
    from soaks.life.terms import Terms

SECRET = "whsec_" + "s" * 32
IN_MEMORY = "django.core.cache.backends.locmem.LocMemCache"
# What takes time in a long run and has nothing to do with money: caches in files, hashes that are slow on purpose.
QUICK: dict[str, Any] = {
    "CACHES": {name: {"BACKEND": IN_MEMORY} for name in ("default", "operations")},
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
}
ENDPOINT = "http://localhost/stripe/webhook/"


@dataclass
class Verdict:
    """What came of one business. `faults` are texts with the account's history."""

    accounts: int = 0
    acts: int = 0
    bills: int = 0
    letters: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def main(words: list[str]) -> int:
    """The whole soak, with its own servers; prints what happened and answers the exit status."""
    asked = _parser().parse_args(words)
    businesses = [asked.business] if asked.business else list(terms.BUSINESSES)
    is_good = True
    with servers.running() as found, tempfile.TemporaryDirectory() as folder:
        simulator = _house(found.database_url, businesses, Path(folder))
        # What is loaded by now is there to the end: to look through it for garbage takes time.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        for business in businesses:
            with _selling(simulator, settings_of(business, Path(folder))):
                verdict = soak(
                    simulator,
                    business,
                    seed=asked.seed,
                    accounts=asked.accounts,
                    months=asked.months,
                    only=asked.only,
                    tell=lambda told: print(told, end="\n\n", flush=True),
                )
            is_good &= not verdict.faults
            print(
                f"{business:12}{verdict.accounts:>4} accounts × {asked.months} months: {verdict.acts:,} acts, "
                f"{verdict.bills:,} invoices, {verdict.letters:,} letters, {verdict.seconds:,.0f} s, "
                f"{len(verdict.faults)} differ",
                flush=True,
            )
    print(
        "PASSED: invoices to the cent, allowances to the unit, access at each step." if is_good else "FAILED"
    )
    return 0 if is_good else 1


def soak(
    simulator: Simulator,
    business: str,
    *,
    seed: int,
    accounts: int,
    months: int,
    only: int | None = None,
    sold: Terms | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Let the accounts of one business live. The settings sell it already; `only` is the one account to repeat.

    `sold`: the terms to calculate with, when they are to be others than the business's own; `tell` hears of each
    difference at once.
    """
    from soaks.life.post import Post

    found, began = Verdict(), time.monotonic()
    sold = sold or terms.read(business)
    for number in range(accounts) if only is None else (only,):
        name = f"{seed}:{business}"
        post = Post(simulator, random.Random(f"{name}:{number}:post"))
        person = births.born(number, terms=sold, seed=name, simulator=simulator, post=post)
        differs = _lived(person, months)
        if differs:
            told = "\n".join((*person.history, *(f"  differs: {one}" for one in differs)))
            found.faults.append(f"--seed {seed} --business {business} --only {number}\n{told}")
            tell(found.faults[-1])
        found.accounts += 1
        found.acts += person.acts
        found.bills += len(person.life.bills)
        found.letters += post.delivered
    found.seconds = time.monotonic() - began
    return found


def settings_of(business: str, folder: Path) -> dict[str, Any]:
    """What the house is told to sell this business's plans."""
    file = folder / f"{business}.toml"
    file.write_text(terms.told_by(business))
    return {
        "BILLING_CATALOG": str(file),
        "STRIPE_DOWNGRADE_ON_DISPUTE": business in terms.FREE_WHILE_DISPUTED,
    }


def open_shop(simulator: Simulator) -> None:
    """Products, prices and codes at Stripe; the letters about them are of no interest."""
    from django.core.management import call_command

    from soaks.life import deeds

    call_command("sync_catalog", verbosity=0)
    deeds.write_codes()
    simulator.deliveries.forget()


def _lived(person: Person, months: int) -> list[str]:
    try:
        return person.live(months=months)
    except comparing.Differs as difference:
        return [str(difference)]
    except Exception:  # an act that breaks is a difference too: nothing was expected to
        return [traceback.format_exc(limit=-6)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run soak life", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("seed", 1), ("accounts", 50), ("months", 36)):
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"default: {usual}")
    parser.add_argument("--business", choices=terms.BUSINESSES, help="default: all five")
    parser.add_argument("--only", type=int, help="the number of the one account to repeat")
    return parser


def _house(database_url: str, businesses: list[str], folder: Path) -> Simulator:
    """Our side and Stripe's: settings, tables, the simulator at its address."""
    from soaks import meters

    place = f"http://127.0.0.1:{servers.free_port()}"
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "only-for-the-soak",
        "DEBUG": "0",
        "ALLOWED_HOSTS": "localhost",
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "TALLYHOUSE_VAR": str(folder),
        "STRIPE_SECRET_KEY": "sk_test_" + "0" * 24,
        "STRIPE_API_BASE": place,
        "STRIPE_PAGE_ORIGINS": place,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "STRIPE_TEST_CLOCKS": "1",
        "BILLING_CATALOG": settings_of(businesses[0], folder)["BILLING_CATALOG"],
        "LOG_LEVEL": "CRITICAL",
    }
    if not database_url.startswith("sqlite"):
        meters._create(database_url)
    import django

    django.setup()
    from config import schema_load
    from simulator.core import Simulator

    schema_load.load()
    simulator = Simulator(base_url=place)
    _without_sockets(simulator)
    return simulator


def _without_sockets(simulator: Simulator) -> None:
    """The SDK's calls reach the simulator in this process, and nudges go nowhere: nobody waits for them."""
    import stripe
    from celery import current_app

    from simulator.in_process import InProcess

    inside = InProcess(simulator)
    stripe.RequestsClient = lambda **_: inside  # type: ignore[misc,assignment]
    stripe.default_http_client = inside
    current_app.conf.update(broker_url="memory://")


@contextmanager
def _selling(simulator: Simulator, settings: dict[str, Any]) -> Iterator[None]:
    """The business's price list in force, here and at Stripe, whose letters wait to be taken."""
    from django.test import override_settings

    with override_settings(**settings, **QUICK):
        simulator.reset()
        simulator.deliveries.set_hold(True)
        simulator.deliveries.add_endpoint(ENDPOINT, SECRET)
        open_shop(simulator)
        yield
