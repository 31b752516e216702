"""A simulator behind a real socket, the official SDK before it, and a check of every object that passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from simulator.core import Simulator
from simulator.server import Running, serve
from tests.simulator import truth
from tests.simulator.shop import Shop


@pytest.fixture(scope="session")
def house() -> Iterator[Running]:
    running = serve(Simulator())
    running.simulator.deliveries.set_hold(True)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _nothing_untrue_is_said() -> Iterator[None]:
    with truth.watched():
        yield


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
