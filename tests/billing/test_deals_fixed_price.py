"""An offer at the list's price keeps the price it was shown with, whatever the list says before it is accepted."""

from pathlib import Path

import pytest
from django.conf import settings as house
from django.core.management import call_command

from billing import clock, entitlements
from billing.deals import accepting, agreed
from billing.models import Effect, Payment, Subscription
from tests.billing.changing import acts_for
from tests.billing.shopping import at_stripe
from tests.billing.test_deals import OFFERS, YES, offer_to, page_of, said

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 'tiers_mode = "volume"\ntiers = [{ up_to = 4, amount = 1900 }, { amount = 1500, flat = 700 }]\n'


@pytest.fixture
def list_says(settings, tmp_path, simulator):
    """The founder writes another price of Team into the price list, and pushes it."""

    def act(team: str, *, key: str = "hybrid_team_month", push: bool = True) -> None:
        words = (Path(house.BILLING_CATALOG_DIR) / "hybrid.toml").read_text()
        assert words.count("amount = 1900\n") == 1
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.toml"
        file.write_text(words.replace("amount = 1900\n", team).replace("hybrid_team_month", key))
        settings.BILLING_CATALOG = str(file)
        if push:
            call_command("sync_catalog", verbosity=0)

    return act


def offer_of_team(account):
    return offer_to(
        account, plan_key="team", interval="month", seats=5, amount=None, overrides={}, periods=None
    )


def accepted(account, client, offer):
    answer = client.post(page_of(offer), YES)
    assert answer.status_code == 302, said(answer)
    return Subscription.objects.live().get(account=account)


def test_a_later_price_in_the_list_changes_no_offer_that_was_sent(
    shop, account, client, list_says, as_dana, as_alice
):
    offer = offer_of_team(account)
    list_says("amount = 2500\n")

    assert "Accept for $95.00 a month" in said(client.get(page_of(offer)))
    assert "$95.00 a month" in said(as_dana.get(f"{OFFERS}{offer.pk}/change/"))
    as_dana.post(OFFERS, {"action": "send_again", "_selected_action": [str(offer.pk)]})
    assert "$95.00 a month" in Effect.objects.filter(kind="mail").latest("pk").detail["body"]
    subscription = accepted(account, client, offer)

    assert (subscription.plan_key, subscription.quantity, subscription.needs_review) == ("team", 5, False)
    assert Payment.objects.get(account=account).amount_due == 5 * 1900
    assert entitlements.of(account, now=clock.now(account)).plan.key == "team"
    assert "$95.00" in said(acts_for(as_alice, account).get("/billing/"))


def test_while_the_list_says_the_same_it_is_the_list_s_own_price(shop, account, client):
    subscription = accepted(account, client, offer_of_team(account))

    assert subscription.price_lookup_key == "hybrid_team_month"


def test_steps_are_kept_too(simulator, account, client, list_says):
    list_says(STEPS)
    offer = offer_of_team(account)
    assert agreed.total(offer) == 5 * 1500 + 700
    list_says("amount = 2500\n")

    assert "Accept for $82.00 a month" in said(client.get(page_of(offer)))
    subscription = accepted(account, client, offer)

    assert (subscription.plan_key, subscription.needs_review) == ("team", False)
    assert [one["total"] for one in at_stripe(simulator, account, "invoice")] == [8200]


def test_steps_that_came_later_do_not_count(shop, account, client, list_says):
    offer = offer_of_team(account)
    list_says(STEPS)

    accepted(account, client, offer)

    assert [one["total"] for one in at_stripe(shop, account, "invoice")] == [5 * 1900]


def test_a_price_that_is_in_no_list_any_more_is_still_the_one_that_was_offered(
    shop, account, client, list_says
):
    offer = offer_of_team(account)
    list_says("amount = 2500\n", key="hybrid_team_2027")

    assert "Accept for $95.00 a month" in said(client.get(page_of(offer)))
    assert accepted(account, client, offer).plan_key == "team"
    assert Payment.objects.get(account=account).amount_due == 5 * 1900


def test_between_the_new_list_and_its_push_the_offer_is_taken_at_its_own_price(
    shop, account, client, list_says
):
    offer = offer_of_team(account)
    list_says("amount = 2500\n", push=False)

    accepting.accept(offer=offer, name="G", email="g@navy.example", now=clock.now(account))

    assert Payment.objects.get(account=account).amount_due == 5 * 1900
