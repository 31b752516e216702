"""What every test may ask for. The parts are in tests/stack/; the people are in tests/factories.py."""

pytest_plugins = [
    "tests.stack.database",
    "tests.stack.stripe",
    "tests.stack.site",
    "tests.stack.people",
]
