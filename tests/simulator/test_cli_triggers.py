"""Stripe's own command-line tool plays its scenarios against the simulator.

It comes from npm, so this runs when asked for: `TALLYHOUSE_CONFORMANCE=1 ./run test sqlite
tests/simulator/test_cli_triggers.py`. Otherwise it is deselected, and pytest says so.
"""

from __future__ import annotations

import os
import re
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator import npm

VERSION = "1.52.0"
KEY = "sk_test_" + "0" * 24
AT_LEAST = 100

CONNECT = "Connect: other people's accounts are not simulated"
ISSUING = "Issuing: cards for others are not simulated"
IDENTITY = "Identity is not simulated"
TRANSFER = "nothing is paid from a cash balance here"
NOT_HERE = "the tool sends these events to meter-events.stripe.com whatever --api-base says"

# Every scenario that does not pass, with its reason. One that begins to pass must leave this list.
EXCLUDED = {
    **dict.fromkeys(("account.application.deauthorized", "account.updated"), CONNECT),
    **dict.fromkeys(("transfer.created", "transfer.reversed", "transfer.updated"), CONNECT),
    **dict.fromkeys(
        (
            "issuing_authorization.request",
            "issuing_authorization.request.eu",
            "issuing_authorization.request.gb",
            "issuing_card.created",
            "issuing_card.created.eu",
            "issuing_card.created.gb",
            "issuing_cardholder.created",
            "issuing_cardholder.created.eu",
            "issuing_cardholder.created.gb",
            "issuing_transaction.created",
            "issuing_transaction.purchase_details_receipt_updated",
            "issuing_transaction.updated",
        ),
        ISSUING,
    ),
    **dict.fromkeys(
        (
            "identity.verification_session.canceled",
            "identity.verification_session.created",
            "identity.verification_session.redacted",
        ),
        IDENTITY,
    ),
    "payment_intent.partially_funded": TRANSFER,
    **dict.fromkeys(("v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"), NOT_HERE),
}

# Scenarios named otherwise than the event they end in.
MEANT = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
# Scenarios that go through without their event, with the reason.
SILENT = {
    "subscription_schedule.aborted": "the scenario cancels a schedule before it starts, which is told as "
    "canceled; aborted is one whose subscription ended unpaid, and test_schedules.py shows it",
    "subscription_schedule.expiring": "the scenario stops nine days before the schedule's end, and the notice "
    "comes seven days before: docs.stripe.com/api/events/types",
}


def _binary(from_npm: npm.Install) -> Path:
    folder = from_npm("@stripe/cli", VERSION) / "node_modules" / "@stripe"
    found = [path for path in folder.glob("cli-*/bin/stripe*") if path.is_file()]
    assert found, f"@stripe/cli {VERSION} has no binary for this machine in {folder}."
    found[0].chmod(0o755)
    return found[0]


def _scenarios(binary: Path, environment: dict[str, str]) -> list[str]:
    said = subprocess.run(
        [binary, "trigger", "--help"], capture_output=True, text=True, timeout=60, env=environment
    )
    return re.findall(r"^  ([a-z0-9_]+(?:\.[a-z0-9_]+)+)$", said.stdout, re.MULTILINE)


def _play(binary: Path, url: str, scenario: str, environment: dict[str, str]) -> str | None:
    """None when it went through; else what the tool said."""
    done = subprocess.run(
        [binary, "trigger", scenario, "--api-base", url, "--api-key", KEY, "--color", "off"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    said = done.stdout + done.stderr
    return None if "Trigger succeeded" in said else " ".join(said.split())[-400:]


@pytest.mark.slow
def test_every_scenario_of_stripes_own_tool_passes_or_is_excluded_for_a_reason(
    from_npm: npm.Install, house: Running, sim: Simulator, tmp_path: Path
) -> None:
    binary = _binary(from_npm)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    scenarios = _scenarios(binary, environment)

    said: dict[str, str | None] = {}
    told: dict[str, set[str]] = {}
    for name in scenarios:
        before = sum(1 for _ in sim.store.all("event"))
        said[name] = _play(binary, house.url, name, environment)
        sim.tick()  # what a bank says a moment later belongs to the scenario too
        told[name] = {event["type"] for event in islice(sim.store.all("event"), before, None)}

    failed = {name: words for name, words in said.items() if words is not None}
    unexpected = {name: words for name, words in failed.items() if name not in EXCLUDED}
    assert unexpected == {}
    assert sorted(EXCLUDED.keys() - failed.keys()) == [], "these pass now: take them off the list"
    silent = {name for name in said if name not in failed and MEANT.get(name, name) not in told[name]}
    assert silent == set(SILENT)
    assert len(scenarios) - len(failed) >= AT_LEAST
