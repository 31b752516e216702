"""An account on hold is still charged for what it bought: it sees that, and can end it."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts import api_keys
from billing import clock, entitlements, suspension
from billing.access import Level
from billing.models import Subscription
from tests.billing.shopping import buy

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


def test_a_program_sees_the_subscription_of_an_account_on_hold(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    suspension.suspend(account=account, reason="spam", now=clock.now(account))
    _, key = api_keys.issue(kind="service", account=None, name="a script", now=clock.wall())

    answer = Client().get(
        f"/api/v1/subscription?account={account.pk}", headers={"Authorization": f"Bearer {key}"}
    )

    assert answer.json()["subscription"]["plan"]["key"] == "team"
