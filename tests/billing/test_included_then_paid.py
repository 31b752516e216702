"""What a plan includes costs nothing, what is used beyond it costs what its step says, and Stripe bills just that."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from accounts.models import Account, User
from billing import clock, credits
from billing.lifecycle import subscriptions
from billing.models import Payment
from tests.billing.shopping import buy, let_pass
from usage import metering, meters
from usage.models import MeterEvent

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).parent / "packs.toml")


def scan(account: Account, units: int, key: str) -> metering.Receipt:
    return metering.consume(
        account=account, feature="scans", units=units, idempotency_key=key, now=clock.now(account)
    )


def end_of_month(account: Account) -> int:
    """A month later, what was reported to Stripe's meter is on an invoice: its sum."""
    bought = clock.now(account)
    meters.flush(account=account, now=clock.now(account))
    let_pass(account, bought + timedelta(days=32))
    subscriptions.sync(account=account, reason="test")
    return Payment.objects.filter(account=account).latest("created_at").amount_due


def test_within_what_is_included_only_the_base_price_is_charged(
    shop: "Simulator", account: Account, alice: User
) -> None:
    buy(shop, account, alice, "copy_pro_month")
    assert scan(account, 1000, "a").cost == 0
    assert not MeterEvent.objects.exists()
    assert end_of_month(account) == 2900


def test_units_beyond_it_cost_what_the_receipts_said(
    shop: "Simulator", account: Account, alice: User
) -> None:
    buy(shop, account, alice, "copy_pro_month")
    receipts = [scan(account, units, f"act {number}") for number, units in enumerate((990, 20, 85, 10, 50))]
    assert [receipt.cost for receipt in receipts] == [0, 500, 4250, 5 * 50 + 5 * 40 + 500, 2000]
    assert sum(source.units for source in receipts[1].sources if source.kind == "paid") == 10
    assert end_of_month(account) == 2900 + sum(receipt.cost for receipt in receipts)


def test_credits_come_before_paid_units_and_are_not_billed_again(
    shop: "Simulator", account: Account, alice: User
) -> None:
    buy(shop, account, alice, "copy_pro_month")
    now = clock.now(account)
    credits.give(
        account=account,
        feature="scans",
        units=100,
        source="gift",
        source_key="g",
        now=now,
        reason="Sorry",
    )
    receipt = scan(account, 1103, "a")
    assert {source.kind: source.units for source in receipt.sources} == {
        "allowance": 1000,
        "credits": 100,
        "paid": 3,
    }
    assert receipt.cost == 150
    assert end_of_month(account) == 2900 + 150


def test_the_billing_page_says_what_is_included_and_what_is_paid(
    shop: "Simulator", account: Account, alice: User, as_alice: Client
) -> None:
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    buy(shop, account, alice, "copy_pro_month")
    scan(account, 900, "a")
    page = " ".join(as_alice.get("/billing/").content.decode().split())
    assert "1,000 included until" in page and "; paid by the scan beyond." in page
    scan(account, 107, "b")
    page = " ".join(as_alice.get("/billing/").content.decode().split())
    assert "; 7 beyond are paid." in page


def test_what_was_left_over_comes_along_and_the_page_says_how_much(
    shop: "Simulator", account: Account, alice: User, as_alice: Client
) -> None:
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    buy(shop, account, alice, "copy_pro_month")
    bought = clock.now(account)
    for key, later in (("a", timedelta()), ("b", timedelta(days=32))):
        if later:
            let_pass(account, bought + later)
            subscriptions.sync(account=account, reason="test")
        metering.consume(
            account=account, feature="pages", units=20, idempotency_key=key, now=clock.now(account)
        )
    page = " ".join(as_alice.get("/billing/").content.decode().split())
    assert "130 left. 50 of 150 came over from before. Back to 100 on" in page


def test_seats_in_steps_are_charged_as_the_page_says(
    shop: "Simulator", account: Account, alice: User
) -> None:
    buy(shop, account, alice, "copy_team_month", quantity=10)
    assert Payment.objects.get(account=account).amount_paid == 8000
