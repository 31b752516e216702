"""What only a foreign client can show: run in a stage of its own, `./run conformance`, and named when left out."""

import pytest

from tests.simulator import npm


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
