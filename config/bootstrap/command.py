"""The words after `./run`: nothing, or one of `help`'s. Anything that goes wrong ends in one sentence."""

import os
from collections.abc import Callable

from config.bootstrap import house, install
from config.bootstrap.words import CannotStart, complain, say

HELP = """\
./run                      start everything; Ctrl-C stops it
BILLING_CATALOG=kaboot ./run
                           the same with another price list (config/catalogs/), its data kept apart
./run manage COMMAND …     a Django command with the same database and Stripe, such as ./run manage check
./run test                 every test: lint, SQLite, PostgreSQL and Redis, browser journeys, conformance
./run test --fast          lint and SQLite only
./run test sqlite|postgres|journeys|lint|conformance [pytest arguments]
./run conformance          Stripe's own tools (its CLI, stripe-node; from npm) against the simulator
./run test-stripe-live     the simulator's scenarios against Stripe's test mode; needs STRIPE_SECRET_KEY=sk_test_…
./run soak meters          units on their way to Stripe through drops, failures and killed senders; ./run soak lists all
./run help                 this page

What it needs is Python 3.11 or newer. It writes .venv/, .env and var/ beside this file; delete them to start
afresh. Settings come from the environment or .env (.env.example lists all): PORT and SIMULATOR_PORT choose
ports; DATABASE_URL, REDIS_URL and STRIPE_SECRET_KEY replace the embedded database, broker and Stripe.
"""


def main(words: list[str]) -> int:
    """Do what was asked; the exit status is 0 when it went well."""
    verbs: dict[str, Callable[[list[str]], int]] = {
        "manage": _manage,
        "test": _test,
        "conformance": lambda words: _test(["conformance", *words]),
        "test-stripe-live": lambda words: _test(["stripe-live", *words]),
        "soak": _soak,
        "help": _help,
    }
    try:
        if not words:
            return house.start()
        if words[0] in ("-h", "--help"):
            return _help([])
        if words[0] not in verbs:
            raise CannotStart(f"./run does not know “{words[0]}”. ./run help lists what it knows.")
        return verbs[words[0]](words[1:])
    except CannotStart as problem:
        complain(str(problem))
    except PermissionError as problem:
        complain(
            f"No permission for {problem.filename}. Perhaps another user ran this before: delete it as that "
            "user, or copy the checkout to a place of your own."
        )
    except KeyboardInterrupt:
        complain("Stopped.")
        return 130
    return 1


def _help(words: list[str]) -> int:
    say(HELP.rstrip())
    return 0


def _manage(words: list[str]) -> int:
    python = install.ensure()
    environment = house.environment_for_commands()
    os.chdir(install.ROOT)
    os.execve(python, [str(python), "manage.py", *words], environment)


def _test(words: list[str]) -> int:
    python = install.ensure(for_tests=True)
    os.chdir(install.ROOT)
    os.execv(python, [str(python), "-m", "tests.everything", *words])


def _soak(words: list[str]) -> int:
    python = install.ensure(for_tests=True)
    os.chdir(install.ROOT)
    os.execv(python, [str(python), "-m", "soaks", *words])
