"""What every test may ask for. The parts are in tests/stack/; the people are in tests/factories.py."""

import gc

pytest_plugins = [
    "tests.stack.database",
    "tests.stack.engines",
    "tests.stack.stripe",
    "tests.stack.site",
    "tests.stack.people",
    "tests.stack.foreign",
]


def pytest_collection_finish() -> None:
    """What is loaded by now is there to the end: to look through it for garbage takes a fifteenth of the suite."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
