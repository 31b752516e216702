"""The price list rose, and who bought before keeps their price: for seats that come and go as well."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import call_command

from billing.models import Payment, PlanChange, Subscription
from tests.billing.changing import acts_for, change, look, press
from tests.billing.shopping import buy, let_pass
from tests.billing.test_billing_pages import text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def team(shop, account, alice, as_alice, settings, tmp_path):
    """Four seats of Team at $19, bought before a seat cost $25."""
    settings.STRIPE_TEST_CLOCKS = True
    trial = buy(shop, account, alice, "hybrid_team_month", 4)
    let_pass(account, trial.trial_end + timedelta(hours=3))
    file = tmp_path / "raised.toml"
    words = (Path(house.BILLING_CATALOG_DIR) / "hybrid.toml").read_text()
    file.write_text(words.replace("amount = 1900\n", "amount = 2500\n"))
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    return acts_for(as_alice, account)


def renewed(account):
    let_pass(account, Subscription.objects.live().get().current_period_end + timedelta(hours=3))
    return Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid


def test_more_seats_cost_what_the_receipt_says_and_the_next_invoice_too(team, account):
    page = look(team, seats="5")
    assert "$95.00" in text(page) and "$125.00" not in text(page)

    press(team, page)

    assert PlanChange.objects.get().shown_recurring == 5 * 1900
    assert renewed(account) == 5 * 1900


def test_fewer_seats_raise_nobodys_price(team, account):
    page = look(team, seats="3")
    assert "$57.00" in text(page) and "$75.00" not in text(page)

    planned = press(team, page).context["change"]

    assert (planned.state, planned.shown_recurring) == ("scheduled", 3 * 1900)
    assert renewed(account) == 3 * 1900
    assert PlanChange.objects.get().state == "done"


def test_who_leaves_the_plan_and_comes_back_pays_todays_price(team, account):
    change(team, price="hybrid_payg_tokens")
    let_pass(account, Subscription.objects.live().get().current_period_end + timedelta(hours=3))

    page = look(team, price="hybrid_team_month", quantity="2")

    assert "$50.00" in text(page)
