"""`manage.py check`: is the price list right, and may this environment sell? Servers do not start if not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from billing import catalog, currencies

STRIPE_ADDRESS = "https://api.stripe.com"
# Restricted keys (rk_) are Stripe's advice for servers: https://docs.stripe.com/keys
SECRET_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9]{24,}")
WEBHOOK_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{16,}")


@dataclass(frozen=True)
class Problem:
    """Something wrong with the environment: what, and what to set. Values of secrets are never in it."""

    id: str
    what: str
    do: str


def refuse_to_start() -> None:
    """Raise ImproperlyConfigured with every problem, so that a server never half works.

    Called by the doors that serve (config/wsgi.py, config/celery.py); commands show Django's checks. It looks at what
    the house itself was given, never at a database: no row, and no database that is away, keeps everybody out.
    """
    problems = [f"{problem.what} {problem.do}" for problem in environment_problems()]
    problems += [problem.msg for problem in the_catalog()]
    if problems:
        raise ImproperlyConfigured(
            "Not started; put this right first:\n" + "\n".join(f"  - {problem}" for problem in problems)
        )


@register("billing")
def the_catalog(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Every mistake in the price list that BILLING_CATALOG chooses."""
    try:
        catalog.current()
    except catalog.CatalogError as error:
        return [
            Error(problem, hint="docs/catalog.md explains every key.", id="billing.E001")
            for problem in error.problems
        ]
    return []


@register("billing", deploy=True)
def the_customers_currencies(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Every price that customers pay in a currency which the price list has dropped; with `check --deploy` only, as a
    subscription made in the Dashboard comes to this too. What serves goes on, and `currencies.tell_staff` says it.

    Without a catalog, a database or its tables there is nobody to ask about, and others say so.
    """
    try:
        withdrawn = currencies.withdrawn(catalog.current())
    except (catalog.CatalogError, DatabaseError):
        return []
    return [Error(sentence, hint="docs/catalog.md says more.", id="billing.E002") for sentence in withdrawn]


@register("billing")
def the_environment(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Everything in the environment that would sell wrongly or not at all."""
    # A developer without keys may still make migrations; nothing that serves starts without them.
    kind = Warning if settings.DEBUG else Error
    return [kind(problem.what, hint=problem.do, id=problem.id) for problem in environment_problems()]


def environment_problems() -> list[Problem]:
    """All of them at once, most of them only with DEBUG off."""
    problems = [*_stripe_key(), *_webhook_secrets()]
    if not settings.DEBUG:
        problems += [*_production()]
    return problems


def _stripe_key() -> Iterator[Problem]:
    key = settings.STRIPE_SECRET_KEY
    live = "sk_live_… or rk_live_…, from https://dashboard.stripe.com/apikeys"
    if not key:
        instead = "set it to a test key, or start with ./run, which brings its own small Stripe."
        yield Problem(
            "billing.E010",
            "STRIPE_SECRET_KEY is empty.",
            _set(instead if settings.DEBUG else f"set it to {live}."),
        )
    elif key.startswith("pk_"):
        yield Problem(
            "billing.E011",
            "STRIPE_SECRET_KEY is a publishable key, which may not charge.",
            _set("take the secret key (sk_… or rk_…) from https://dashboard.stripe.com/apikeys."),
        )
    elif not SECRET_KEY.fullmatch(key):
        yield Problem(
            "billing.E011",
            "STRIPE_SECRET_KEY is not a Stripe key.",
            _set(
                "it is one word: sk_test_, sk_live_, rk_test_ or rk_live_ and 24 or more letters and digits."
            ),
        )
    elif settings.DEBUG and settings.STRIPE_LIVE_MODE:
        yield Problem(
            "billing.E012",
            "STRIPE_SECRET_KEY is a live key and DEBUG is on, so tries would charge real cards.",
            "Set a test key (sk_test_…), or DEBUG=0.",
        )
    elif not settings.DEBUG and not settings.STRIPE_LIVE_MODE and not settings.STRIPE_ALLOW_TEST_MODE:
        yield Problem(
            "billing.E013",
            "STRIPE_SECRET_KEY is a test key and DEBUG is off, so nobody would really pay.",
            f"Set it to {live}; or, for a rehearsal, set STRIPE_ALLOW_TEST_MODE=1.",
        )
    if settings.STRIPE_LIVE_MODE and settings.STRIPE_TEST_CLOCKS:
        yield Problem(
            "billing.E014",
            "STRIPE_TEST_CLOCKS is on with a live key; live customers have no test clocks.",
            "Set STRIPE_TEST_CLOCKS=0.",
        )


def _webhook_secrets() -> Iterator[Problem]:
    secrets = settings.STRIPE_WEBHOOK_SECRETS
    source = (
        "from https://dashboard.stripe.com/webhooks, or what `manage.py sync_catalog --webhook-url` prints"
    )
    if not secrets or not all(secrets):
        yield Problem(
            "billing.E015",
            "STRIPE_WEBHOOK_SECRETS is empty or has an empty entry; forged letters would look like Stripe's.",
            f"Set it to the endpoint's signing secret (whsec_…), {source}; several are separated by commas.",
        )
    elif not all(WEBHOOK_SECRET.fullmatch(secret) for secret in secrets):
        yield Problem(
            "billing.E016",
            "STRIPE_WEBHOOK_SECRETS has an entry that is not a signing secret.",
            f"Each begins with whsec_; take it {source}.",
        )


def _production() -> Iterator[Problem]:
    """With DEBUG off nothing embedded may be left."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        yield Problem(
            "billing.E017",
            "DEBUG is off and the database is SQLite, which one process at a time can write to.",
            "Set DATABASE_URL=postgres://user:password@host/name, or DEBUG=1 on your own machine.",
        )
    if not settings.REDIS_URL:
        yield Problem(
            "billing.E018",
            "DEBUG is off and Celery's broker is a folder.",
            "Set REDIS_URL=redis://host:6379/0, or DEBUG=1 on your own machine.",
        )
    base = urlsplit(settings.BASE_URL)
    if base.scheme != "https" or not base.hostname:
        yield Problem(
            "billing.E019",
            "DEBUG is off and BASE_URL is not an https address; customers come back from paying there.",
            "Set BASE_URL=https://your.site.",
        )
    if base.hostname and not any(_covers(host, base.hostname) for host in settings.ALLOWED_HOSTS):
        yield Problem(
            "billing.E020",
            f"ALLOWED_HOSTS lacks {base.hostname}, the host of BASE_URL, so every request would be refused.",
            f"Set ALLOWED_HOSTS={base.hostname}.",
        )
    if settings.STRIPE_API_BASE != STRIPE_ADDRESS:
        yield Problem(
            "billing.E021",
            "DEBUG is off and STRIPE_API_BASE is not Stripe's address, so payments would go to a stand-in.",
            "Take STRIPE_API_BASE out of the environment.",
        )
    if settings.DEMO:
        yield Problem(
            "billing.E022",
            "DEMO is on with DEBUG off; it shows log-ins, every mail and a lever for time to all visitors.",
            "Take DEMO out of the environment.",
        )


def _covers(pattern: str, host: str) -> bool:
    """Django's rule for ALLOWED_HOSTS: a name, `.example.com` with all below it, or `*`."""
    return pattern in ("*", host) or (pattern.startswith(".") and f".{host}".endswith(pattern))


def _set(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
