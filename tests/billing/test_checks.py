"""A wrong environment or price list stops the start with a sentence that says what to set."""

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from billing import checks

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
LIVE_KEY = "sk_live_" + "a" * 24


@pytest.fixture
def production(settings, monkeypatch):
    """A site as it should be when it sells."""
    settings.DEBUG = False
    settings.DEMO = False
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    settings.REDIS_URL = "redis://cache.internal:6379/0"
    settings.BASE_URL = "https://app.shop.example"
    settings.ALLOWED_HOSTS = ["app.shop.example"]
    settings.STRIPE_SECRET_KEY = LIVE_KEY
    settings.STRIPE_LIVE_MODE = True
    settings.STRIPE_ALLOW_TEST_MODE = False
    settings.STRIPE_TEST_CLOCKS = False
    settings.STRIPE_API_BASE = "https://api.stripe.com"
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_" + "b" * 32]
    return settings


def test_a_site_as_it_should_be_starts(production):
    checks.refuse_to_start()


WRONG = [
    ({"STRIPE_SECRET_KEY": "", "STRIPE_LIVE_MODE": False}, "STRIPE_SECRET_KEY is empty. Set it to sk_live_"),
    (
        {"STRIPE_SECRET_KEY": "pk_live_" + "a" * 24},
        "is a publishable key, which may not charge. Take the secret key",
    ),
    ({"STRIPE_SECRET_KEY": "my key"}, "STRIPE_SECRET_KEY is not a Stripe key."),
    (
        {"STRIPE_SECRET_KEY": "sk_test_" + "a" * 24, "STRIPE_LIVE_MODE": False},
        "STRIPE_SECRET_KEY is a test key and DEBUG is off, so nobody would really pay.",
    ),
    ({"STRIPE_TEST_CLOCKS": True}, "STRIPE_TEST_CLOCKS is on with a live key"),
    ({"STRIPE_WEBHOOK_SECRETS": []}, "STRIPE_WEBHOOK_SECRETS is empty"),
    (
        {"STRIPE_WEBHOOK_SECRETS": ["whsec_" + "b" * 32, ""]},
        "STRIPE_WEBHOOK_SECRETS is empty or has an empty entry",
    ),
    (
        {"STRIPE_WEBHOOK_SECRETS": [LIVE_KEY]},
        "has an entry that is not a signing secret. Each begins with whsec_",
    ),
    ({"REDIS_URL": ""}, "DEBUG is off and Celery's broker is a folder. Set REDIS_URL="),
    ({"BASE_URL": "http://app.shop.example"}, "BASE_URL is not an https address"),
    ({"ALLOWED_HOSTS": ["other.example"]}, "Set ALLOWED_HOSTS=app.shop.example."),
    ({"STRIPE_API_BASE": "http://127.0.0.1:12111"}, "STRIPE_API_BASE is not Stripe's address"),
    ({"DEMO": True}, "DEMO is on with DEBUG off"),
    ({"DEBUG": True}, "STRIPE_SECRET_KEY is a live key and DEBUG is on, so tries would charge real cards."),
    ({"BILLING_CATALOG": "kaboom"}, "kaboom.toml: there is no such file"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG, ids=[sentence[:50] for _, sentence in WRONG])
def test_one_wrong_setting_stops_the_start_and_is_named(production, wrong, sentence):
    for name, value in wrong.items():
        setattr(production, name, value)

    with pytest.raises(ImproperlyConfigured) as refusal:
        checks.refuse_to_start()

    told = str(refusal.value).splitlines()
    assert len(told) == 2, told  # the heading, and this one thing
    assert sentence in told[1]


def test_sqlite_is_for_a_laptop(production, monkeypatch):
    monkeypatch.setitem(production.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3")

    with pytest.raises(ImproperlyConfigured, match="Set DATABASE_URL=postgres://"):
        checks.refuse_to_start()


def test_everything_wrong_is_told_at_once_and_no_secret_with_it(production):
    production.STRIPE_SECRET_KEY = "sk_live_secret-with-a-dash-" + "a" * 24
    production.STRIPE_WEBHOOK_SECRETS = ["hush-hush"]
    production.REDIS_URL = ""

    with pytest.raises(ImproperlyConfigured) as refusal:
        checks.refuse_to_start()

    assert str(refusal.value).count("\n  - ") == 3
    assert "secret-with" not in str(refusal.value)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("wrong", "starts"),
    [
        ({"STRIPE_SECRET_KEY": "sk_test_" + "a" * 24, "STRIPE_ALLOW_TEST_MODE": True}, True),
        ({"STRIPE_SECRET_KEY": "rk_live_" + "a" * 24, "STRIPE_LIVE_MODE": True}, True),
        ({"ALLOWED_HOSTS": [".shop.example"]}, True),
        ({"ALLOWED_HOSTS": ["*"]}, True),
        ({"ALLOWED_HOSTS": ["shop.example"]}, False),
    ],
)
def test_rehearsals_restricted_keys_and_subdomains_are_fine(production, wrong, starts):
    for name, value in wrong.items():
        setattr(production, name, value)
    production.STRIPE_LIVE_MODE = "_live_" in production.STRIPE_SECRET_KEY

    if starts:
        checks.refuse_to_start()
    else:
        with pytest.raises(ImproperlyConfigured):
            checks.refuse_to_start()


def test_the_check_command_lists_the_price_lists_mistakes_by_key(settings, tmp_path):
    wrong = tmp_path / "shop.toml"
    wrong.write_text((ROOT / "config/catalogs/kaboot.toml").read_text().replace("= 5000", "= 49.99"))
    settings.BILLING_CATALOG = str(wrong)

    with pytest.raises(
        SystemCheckError, match=r"shop\.toml: plans\.pro\.prices\[1\]\.amount: must be whole cents"
    ):
        call_command("check", tags=["billing"])


def test_without_a_key_a_developer_is_warned_but_may_go_on(settings):
    settings.DEBUG = True
    settings.STRIPE_SECRET_KEY = ""
    told = StringIO()

    call_command("check", tags=["billing"], stderr=told)

    assert "STRIPE_SECRET_KEY is empty." in told.getvalue()
    assert "start with ./run" in told.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    "server",
    [
        ["granian", "--interface", "wsgi", "--port", "0", "--workers", "1", "config.wsgi:application"],
        ["celery", "--app", "config.celery", "worker", "--pool", "solo"],
        ["celery", "--app", "config.celery", "beat", "--schedule", "beat-schedule"],
    ],
    ids=["web", "worker", "beat"],
)
def test_no_process_serves_without_a_webhook_secret(server, tmp_path):
    program = Path(sys.executable).parent / server[0]
    environment = {
        "PATH": os.environ["PATH"],
        "DEBUG": "1",
        "SECRET_KEY": "k" * 50,
        "TALLYHOUSE_VAR": str(tmp_path),
        "STRIPE_SECRET_KEY": "sk_test_" + "a" * 24,
        "STRIPE_WEBHOOK_SECRETS": "",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(ROOT),
    }

    ended = subprocess.run(
        [program, *server[1:]],
        cwd=tmp_path,  # beat writes its schedule where it stands
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ended.returncode != 0
    assert "STRIPE_WEBHOOK_SECRETS is empty" in ended.stdout + ended.stderr
