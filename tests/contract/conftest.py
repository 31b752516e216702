"""Scenarios that hold for Stripe and for the simulator alike: here it is decided which of the two is asked.

The simulator, unless `./run test-stripe-live` names an account of Stripe's test mode (see `live`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.core import Simulator
from simulator.server import serve
from tests.contract import live
from tests.contract.counterpart import Address, Counterpart, Witness


@pytest.fixture(scope="session")
def address() -> Iterator[Address]:
    if (account := live.chosen()) is not None:
        yield account
        return
    running = serve(Simulator())
    yield Address("sk_test_" + "0" * 24, running.url, is_live=False)
    running.stop()


@pytest.fixture
def stripe_side(address: Address) -> Iterator[Counterpart]:
    """An account to play a scenario in. What is made there is gone afterwards; every answer has been looked at."""
    witness = Witness(address)
    side = Counterpart(address, witness)
    yield side
    side.tidy()
    witness.close()
    assert sorted(witness.complaints) == []
