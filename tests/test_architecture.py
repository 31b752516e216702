"""The rules of the house, run as tests: which way imports point, and that migrations tell the whole story."""

import ast
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent

# Whoever calls one of these looks at the clock. A span of time (time.monotonic) is no time of day.
LOOKS = {
    "clock.now", "clock.wall", "timezone.now", "timezone.localtime", "timezone.localdate", "datetime.now",
    "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns",
}  # fmt: skip
# What opens onto the house from outside (STYLE.md, Rooms), and so may look.
DOORS = (
    "views",
    "api",
    "webhooks",
    "admin",
    "management",
    "templatetags",
    "middleware",
    "tasks",
    "migrations",
)
# The others that look, and why they must (STYLE.md, rule 6).
LOOK_THEMSELVES = {
    "billing/clock.py": "the clock itself",
    # Doors of another shape: somebody else's code calls them, without a time.
    "accounts/allauth_adapter.py": "allauth asks it to make a person",
    "accounts/telling.py": "allauth's signals",
    "billing/changes/membership.py": "Django's signals of members",
    "usage/meters/hearing.py": "the signals of billing",
    "usage/gates.py": "decorators and blocks around the views of the host",
    "billing/rights.py": "views and templates ask once per request",
    "config/health.py": "a page",
    "config/operations.py": "a page",
    # Machines' time, whatever the account's is.
    "accounts/notifications/notifying.py": "when post leaves",
    "billing/effects.py": "when post leaves",
    "billing/stripe/gateway/journal.py": "when a call was made, for the operations page",
    "billing/lifecycle/customers.py": "how long Stripe remembers a key",
    "billing/lifecycle/test_clocks.py": "it makes time",
    # Under the account's lease, after waiting for it or for Stripe: the account's time may have moved since the door
    # looked.
    "billing/lifecycle/subscriptions.py": "after Stripe has answered",
    "billing/lifecycle/checkout/visits.py": "under the lease",
    "billing/lifecycle/trial_ends.py": "after Stripe has answered",
    "billing/leaving/cancelling.py": "after Stripe has answered",
    "billing/leaving/pausing.py": "under the lease",
    "billing/leaving/refund_window.py": "under the lease",
    "billing/leaving/refunds.py": "after Stripe has answered",
}


def test_rooms_lean_one_way_and_the_border_has_one_gate():
    contracts = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", "pyproject.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert contracts.returncode == 0, contracts.stdout + contracts.stderr


def test_below_the_doors_nobody_looks_at_the_clock_but_those_named_with_their_reason():
    looking = {
        str(path.relative_to(ROOT))
        for room in ("accounts", "billing", "usage", "config")
        for path in sorted((ROOT / room).rglob("*.py"))
        if not any(part.removesuffix(".py") in DOORS for part in path.relative_to(ROOT).parts)
        and _looks(path)
    }

    assert looking == set(LOOK_THEMSELVES), (
        "Give the time as an argument (`clock.at(account, now=now)` turns the wall's into the account's), or name the "
        f"file with its reason: {sorted(looking ^ set(LOOK_THEMSELVES))}"
    )


def _looks(path: Path) -> bool:
    """Whether the file names one of LOOKS in its code; words in a docstring are none."""
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in LOOKS
        for node in ast.walk(ast.parse(path.read_text()))
    )


@pytest.mark.django_db
def test_every_model_is_in_a_migration():
    said = StringIO()

    call_command(
        "makemigrations", "accounts", "billing", "usage", dry_run=True, check_changes=False, stdout=said
    )

    assert "No changes detected" in said.getvalue()
