"""Somebody with stripe-node buys: the simulator is not only for Python.

The library comes from npm, so this runs in a stage of its own, `./run conformance`; elsewhere it is deselected, and
pytest says so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator import npm

SCRIPT = Path(__file__).with_name("shop.mjs")


@pytest.mark.slow
def test_stripe_node_buys_a_plan_and_accepts_the_letters(
    from_npm: npm.Install, sim: Simulator, house: Running
) -> None:
    home = from_npm(*npm.NODE)
    node = shutil.which("node")
    assert node is not None, "node is not here although npm is. Install Node.js 18 or newer."
    house.simulator.deliveries.set_hold(False)
    try:
        done = subprocess.run(
            [node, SCRIPT, house.url.rpartition(":")[2], home], capture_output=True, text=True, timeout=60
        )
    finally:
        house.simulator.deliveries.set_hold(True)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "same": True,
        "status": "active",
        "total": 2900,
        "seen": ["checkout.session.completed", "customer.subscription.created", "invoice.paid"],
        "refused": ["StripeInvalidRequestError", "parameter_unknown", "colour"],
    }
