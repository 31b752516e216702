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
from simulator.delivery import Deliveries
from simulator.server import Running, serve
from tests.simulator import npm, recorded
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


@pytest.fixture(autouse=True)
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every answer any simulator of this process gives and every letter it writes must be one the SDK would recognise,
    with the keys that real ones always have; every refusal one that Stripe could have said.
    """
    found: set[str] = set()
    handle, enqueue = Simulator.handle, Deliveries.enqueue

    def checked(self: Simulator, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        answer = handle(self, method, path, *args, **kwargs)
        content_type = answer[1].get("Content-Type", "")
        if content_type == "application/json":
            shown = json.loads(answer[2])
            problems = _problems(shown) if answer[0] == 200 else sdk.refusal_problems(shown)
            route = f"{method} {re.sub(r'_[A-Za-z0-9_]{8,}', '_…', path)}"
            found.update(f"{route}: {problem}" for problem in problems)
        return answer

    def written(self: Deliveries, event: dict[str, Any]) -> None:
        enqueue(self, event)
        found.update(f"event {event['type']}: {problem}" for problem in _problems(event))

    monkeypatch.setattr(Simulator, "handle", checked)
    monkeypatch.setattr(Deliveries, "enqueue", written)
    yield
    assert not found, "\n".join(sorted(found)[:40])


def _problems(shown: dict[str, Any]) -> list[str]:
    return sdk.problems(shown, extras=BEYOND_THE_SDK) + recorded.missing(shown)


@pytest.fixture
def sim(house: Running) -> Iterator[Simulator]:
    """An empty simulator."""
    house.simulator.reset()
    yield house.simulator
    house.simulator.reset()


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
