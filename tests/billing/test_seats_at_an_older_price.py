"""The price list rose, and who bought before keeps their price: for seats that come and go as well."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import call_command
from django.db import connection

from billing import clock
from billing.lifecycle import archived
from billing.models import Payment, PlanChange, PriceUse, Subscription
from billing.stripe import gateway
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


# --- Several at once --------------------------------------------------------------------------------------------


def older_price(account):
    [item] = Subscription.objects.live().get(account=account).items.all()
    return item.stripe_price_id


def is_active(price_id):
    return gateway.get(f"/v1/prices/{price_id}")["active"]


def test_of_two_who_use_an_older_price_the_first_to_finish_does_not_archive_it_for_the_other(team, account):
    price = older_price(account)
    assert not is_active(price)
    first, second = archived.usable([price]), archived.usable([price])

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)

    assert is_active(price)
    second.__exit__(None, None, None)
    assert not is_active(price)
    assert not PriceUse.objects.exists()


def test_who_was_killed_while_using_it_is_cleaned_up_after_by_the_next(team, account, monkeypatch):
    price = older_price(account)
    with monkeypatch.context() as crash:
        crash.setattr(archived, "_end", lambda use: None)
        with archived.usable([price]):
            assert is_active(price)
    PriceUse.objects.update(expires_at=clock.wall() - timedelta(seconds=1))

    assert change(team, seats="3").state == "scheduled"

    assert not is_active(price)
    assert not PriceUse.objects.exists()


@pytest.mark.postgres
def test_many_at_once_each_find_it_active_to_the_end_of_their_act_and_it_is_archived_after_all(team, account):
    price = older_price(account)
    ready, seen = threading.Barrier(6), []

    def act(number):
        try:
            ready.wait(30)
            for _ in range(4):
                with archived.usable([price]):
                    time.sleep(0.01 * number)
                    seen.append(is_active(price))
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert seen == [True] * 24
    assert not is_active(price) and not PriceUse.objects.exists()
