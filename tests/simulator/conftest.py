"""A simulator behind a real socket, the official SDK before it, and a check of every object that passes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from simulator import sdk
from simulator.core import Simulator
from simulator.server import Running, serve
from tests.simulator import npm
from tests.simulator.shop import Shop

# What real answers carry although the SDK no longer declares it, each with its reason.
BEYOND_THE_SDK = frozenset(
    (
        "subscription.plan",  # recorded answers of a subscription with one item still have the legacy plan
        "subscription.quantity",  # and its quantity
    )
)


@pytest.fixture(scope="session")
def house() -> Iterator[Running]:
    running = serve(Simulator())
    running.simulator.deliveries.set_hold(True)
    yield running
    running.stop()


@pytest.fixture
def sim(house: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """An empty simulator; every object it answers with or tells of must be one the SDK would recognise."""
    found: list[str] = []
    handle = Simulator.handle

    def checked(self: Simulator, *args: Any, **kwargs: Any) -> Any:
        answer = handle(self, *args, **kwargs)
        if answer[0] == 200 and not args[1].startswith("/v2/"):
            shown = json.loads(answer[2])
            route = f"{args[0]} {re.sub(r'_[A-Za-z0-9_]{8,}', '_…', args[1])}"
            found.extend(f"{route}: {problem}" for problem in sdk.problems(shown, extras=BEYOND_THE_SDK))
        return answer

    monkeypatch.setattr(Simulator, "handle", checked)
    house.simulator.reset()
    yield house.simulator
    for event in house.simulator.store.all("event"):
        problems = sdk.problems(event, extras=BEYOND_THE_SDK)
        found.extend(f"event {event['type']}: {problem}" for problem in problems)
    house.simulator.reset()
    assert not found, "\n".join(sorted(set(found))[:40])


@pytest.fixture
def api(sim: Simulator, house: Running) -> stripe.StripeClient:
    """The official client, over HTTP."""
    return stripe.StripeClient(
        "sk_test_" + "0" * 24, base_addresses={"api": house.url}, max_network_retries=0
    )


@pytest.fixture
def shop(sim: Simulator, api: stripe.StripeClient) -> Shop:
    """A small SaaS: a clock, a few prices, and verbs for what its customers do."""
    return Shop(sim, api)


@pytest.fixture
def from_npm() -> npm.Install:
    """Fetches Stripe's own tools. Tests that need them are only run with TALLYHOUSE_CONFORMANCE=1."""
    return npm.installed


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if npm.is_asked_for():
        return
    far = [item for item in items if "from_npm" in getattr(item, "fixturenames", ())]
    if far:
        config.hook.pytest_deselected(items=far)
        items[:] = [item for item in items if item not in far]
