"""Stages that need something from outside: a key for Stripe's test mode, npm for Stripe's own tools.

Without it they say so; with a key the scenarios are played and everything is tidied up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator import npm

ROOT = Path(__file__).resolve().parents[2]
GOOD = "sk_test_" + "5" * 24


def run(key: str, base: str = "", *words: str) -> tuple[int, str]:
    return stage("stripe-live", *words, STRIPE_SECRET_KEY=key, STRIPE_API_BASE=base)


def stage(*words: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.everything", *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def test_without_a_key_it_says_that_nothing_was_run_and_why() -> None:
    status, said = run("")

    assert status == 0
    assert "Not run: STRIPE_SECRET_KEY is not set in the environment." in said
    assert "passed" not in said


def test_a_live_key_is_refused_before_anything_is_asked() -> None:
    status, said = run("sk_live_" + "5" * 24, "http://127.0.0.1:9")

    assert status == 1
    assert "Refused: STRIPE_SECRET_KEY is a live key" in said


@pytest.mark.parametrize("key", ["whsec_" + "5" * 24, "pk_test_" + "5" * 24, "nonsense"])
def test_what_is_no_key_of_test_mode_is_said_to_be_none(key: str) -> None:
    status, said = run(key)

    assert status == 1
    assert "is no key of Stripe's test mode" in said


def test_a_key_stripe_does_not_know_fails_in_a_sentence(sim: Simulator, house: Running) -> None:
    status, said = run("sk_test_" + "5" * 12, house.url)

    assert status == 1
    assert f"{house.url} does not accept STRIPE_SECRET_KEY: Invalid API Key provided" in said
    assert "5" * 12 not in said


def test_an_account_that_cannot_be_reached_is_a_failure_not_a_pass() -> None:
    status, said = run(GOOD, "http://127.0.0.1:9")

    assert status == 1
    assert "cannot be reached from here. Nothing was tried." in said


@pytest.mark.slow
def test_it_plays_the_scenarios_and_tidies_up(sim: Simulator, house: Running) -> None:
    status, said = run(GOOD, house.url, "-k", "month_later or portal_opens or replay_says_so")

    assert status == 0, said
    assert "3 passed" in said
    for kind in ("customer", "test_helpers.test_clock"):
        assert [it for it in sim.store.all(kind) if not it.get("deleted")] == [], kind
    assert {subscription["status"] for subscription in sim.store.all("subscription")} == {"canceled"}
    assert {price["active"] for price in sim.store.all("price")} == {False}
    assert {product["active"] for product in sim.store.all("product")} == {False}


def test_stripes_own_tools_asked_for_without_npm_fail_in_a_sentence(tmp_path: Path) -> None:
    status, said = stage("conformance", PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))

    assert status == 1
    assert "node and npm cannot be found, so Stripe's own tools cannot be fetched and run." in said
    assert "SOMETHING FAILED" in said


def test_a_tool_npm_cannot_fetch_is_named_with_what_npm_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    if npm.lacking():
        with pytest.raises(npm.CannotFetch, match="cannot be found"):
            npm.installed("stripe", "0.0.0")
        return

    with pytest.raises(npm.CannotFetch, match="npm could not fetch stripe"):
        npm.installed("stripe", "0.0.0")
