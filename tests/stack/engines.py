"""Which tests a whole run makes on one engine: those of rules that no engine has a say in. Production's, PostgreSQL."""

from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent

# What each file is about, and the files. All else that touches a database runs on both engines, and so does every
# file that is not named here: a new one, too. To be named, a file may use nothing in which engines differ (locks,
# threads, constraints, transactions, SQL of its own: tests/house/test_engines.py looks), and what it asks the database
# beyond what others ask on SQLite too is no more than to compare, to sort, to count and to write columns.
ONCE: dict[str, tuple[str, ...]] = {
    "sums and dates: what a change, a contract, a code or tax comes to, by Stripe's calculation": (
        "billing/test_changes.py",
        "billing/test_changes_at_random.py",
        "billing/test_changes_of_kind.py",
        "billing/test_deals.py",
        "billing/test_deals_codes.py",
        "billing/test_deals_currencies.py",
        "billing/test_deals_fixed_price.py",
        "billing/test_deals_tax.py",
        "billing/test_downgrades.py",
        "billing/test_included_then_paid.py",
        "billing/test_planned_changes.py",
    ),
    "what is decided from the documents of Stripe": (
        "billing/test_every_event.py",
        "billing/test_money_back.py",
        "billing/test_old_disputes.py",
        "billing/test_scenarios_of_life.py",
        "billing/test_staff_refunds.py",
    ),
    "what pages say, and to whom": (
        "billing/test_billing_pages.py",
        "billing/test_on_hold.py",
        "billing/test_pricing_page.py",
        "usage/test_gates.py",
    ),
    "the form of every answer of the API": ("usage/test_api_schema.py",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them; tests/stages.py leaves out on SQLite what the same run has on PostgreSQL."""
    named = {TESTS / name for names in ONCE.values() for name in names}
    for item in items:
        if item.path in named:
            item.add_marker("once")
