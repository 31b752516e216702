"""Staff ask why an account was charged, blocked or limited, and are told down to the row."""

from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.models import Notification
from billing import credits, suspension
from billing.models import Payment
from tests import factories
from tests.accounts.conftest import log_in
from tests.usage.conftest import NOON, subscribe
from tests.usage.test_pages import seen
from usage import budgets, metering

pytestmark = pytest.mark.django_db


@pytest.fixture
def story(account):
    """An account with a bit of everything."""
    with time_machine.travel(NOON, tick=False):
        subscription = subscribe(account, "payg", anchor=NOON - timedelta(days=10))
        credits.give(
            account=account,
            feature="tokens",
            units=2,
            source="gift",
            source_key="g",
            reason="sorry",
            now=NOON,
        )
        budgets.set_budget(account=account, amount=500, now=NOON, by=None)
        metering.consume(account=account, feature="tokens", units=7, idempotency_key="order-4711", now=NOON)
        Payment.objects.create(
            account=account,
            stripe_invoice_id="in_1",
            number="TH-0001",
            stripe_subscription_id=subscription.stripe_subscription_id,
            status="paid",
            billing_reason="subscription_cycle",
            currency="usd",
            amount_due=1234,
            amount_paid=1234,
            created_at=NOON,
            synced_at=NOON,
        )
        Notification.objects.create(
            account=account,
            kind="receipt",
            to="billing",
            key="receipt:in_1",
            subject="Receipt for twelve dollars",
            text="Thank you.",
            created_at=NOON,
        )
        yield account


def assert_told(text):
    for said in (
        "FULL, because: active",
        "alone it gives FULL (active)",
        "Budget $5.00 a billing month, spent $2.50",
        "TH-0001",
        "$12.34, paid, subscription_cycle",
        "receipt: Receipt for twelve dollars (in the site alone)",
        "7 tokens, of them 2 from credits and 5 paid, 7 used after it, key order-4711",
    ):
        assert said in text


def test_the_command_tells_it_by_id_and_by_a_members_address(story):
    for named in (str(story.pk), "Alice@example.com"):
        out = StringIO()
        call_command("explain", named, stdout=out)
        assert_told(out.getvalue())


@pytest.mark.parametrize("named", ["nobody@example.com", "00000000-0000-0000-0000-000000000000", "x"])
def test_an_account_that_is_not_there_is_said_to_be_not_there(db, named):
    with pytest.raises(CommandError, match="There is no account"):
        call_command("explain", named)


def test_the_staff_page_tells_the_same_and_is_linked_from_the_account(story, as_dana):
    page = as_dana.get(reverse("usage:explain", args=[story.pk]))

    assert_told(seen(page))
    account = as_dana.get(reverse("admin:accounts_account_change", args=[story.pk])).content.decode()
    assert reverse("usage:explain", args=[story.pk]) in account


def test_customers_and_staff_without_the_right_are_not_told(story, as_alice, client):
    address = reverse("usage:explain", args=[story.pk])
    clerk = factories.person(email="erin@example.com", is_staff=True)
    log_in(client, clerk)

    assert client.get(address).status_code == 403
    assert as_alice.get(address).status_code in (302, 403)
    assert b"order-4711" not in as_alice.get(address).content


def test_who_was_put_on_hold_and_why_is_told(story):
    suspension.suspend(account=story, reason="chargebacks", now=NOON)
    out = StringIO()

    call_command("explain", str(story.pk), stdout=out)

    assert "BLOCKED, because: suspended" in out.getvalue()
    assert "On hold since 2026-11-20 12:00:00 UTC: chargebacks" in out.getvalue()


def test_an_account_that_never_did_anything_is_explained_too(account):
    out = StringIO()

    call_command("explain", str(account.pk), stdout=out)

    assert "FREE, because: no_subscription" in out.getvalue()
    assert "nothing was ever bought" in out.getvalue()
