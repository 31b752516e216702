"""An account on hold is still charged for what it bought: it sees that, and can end it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts import api_keys
from billing import clock, entitlements, suspension
from billing.access import Level
from billing.models import Subscription
from tests.billing.shopping import buy, let_pass
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_account_on_hold_can_still_cancel_what_it_pays_for(shop, account, alice, as_alice):
    as_alice.post(reverse("accounts:switch"), {"account": str(account.pk)})
    buy(shop, account, alice, "hybrid_team_month", 2)
    suspension.suspend(account=account, reason="spam", now=clock.now(account))

    rights = entitlements.of(account, now=clock.now(account))
    assert (rights.level, rights.plan.key, rights.seats) == (Level.BLOCKED, "free", 1)
    assert rights.subscription is not None

    as_alice.post("/billing/cancel/")

    assert Subscription.objects.get().cancel_at_period_end


def test_on_hold_nothing_is_promised_and_no_button_leads_to_a_refusal(shop, account, alice, as_alice):
    as_alice.post(reverse("accounts:switch"), {"account": str(account.pk)})
    let_pass(account, buy(shop, account, alice, "hybrid_team_month", 2).trial_end + timedelta(hours=3))
    assert "Change plan" in text(as_alice.get("/billing/"))
    assert "keep everything until then" in text(as_alice.get("/billing/cancel/"))

    suspension.suspend(account=account, reason="spam", now=clock.now(account))

    page = text(as_alice.get("/billing/"))
    assert "Your subscription to Team goes on meanwhile" in page
    assert "Change plan" not in page
    assert "Use a code" not in page
    asked = text(as_alice.get("/billing/cancel/"))
    assert "The account is on hold, so nothing of Team can be used. Canceled, it ends on" in asked
    assert "Nothing is charged for the time after." in asked
    assert "keep everything" not in asked
    assert "you are on Free" not in asked


def test_a_program_sees_the_subscription_of_an_account_on_hold(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    suspension.suspend(account=account, reason="spam", now=clock.now(account))
    _, key = api_keys.issue(kind="service", account=None, name="a script", now=clock.wall())

    answer = Client().get(
        f"/api/v1/subscription?account={account.pk}", headers={"Authorization": f"Bearer {key}"}
    )

    assert answer.json()["subscription"]["plan"]["key"] == "team"
