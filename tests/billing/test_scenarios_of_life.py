"""Odd things that happen in a subscription's life: pages that expire, links with somebody's name, debts given up."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from accounts.models import Notification
from billing import clock, entitlements, grants
from billing.access import Level
from billing.lifecycle import checkout, subscriptions
from billing.models import CheckoutIntent, Payment, Subscription
from billing.stripe import gateway
from simulator.hosted import checkout as hosted
from tests.billing.shopping import (
    DECLINED_LATER,
    at_stripe,
    buy,
    card,
    change_card,
    go_to_the_till,
    let_pass,
)
from usage import metering

pytestmark = pytest.mark.django_db(transaction=True)

PRO, PAYG = "hybrid_pro_month", "hybrid_payg_tokens"
SOON = timedelta(hours=3)


@pytest.fixture(autouse=True)
def _on_a_clock(settings):
    settings.STRIPE_TEST_CLOCKS = True


@pytest.fixture
def mine(shop, alice):
    return alice.personal_account


@pytest.fixture
def paid(shop, mine, alice):
    """Pro, after its trial."""
    trial = buy(shop, mine, alice, PRO)
    let_pass(mine, trial.trial_end + SOON)
    return Subscription.objects.live().get(account=mine)


def plan_of(account):
    return entitlements.of(account, now=clock.now(account)).plan.key


def test_a_payment_page_that_expired_bought_nothing_and_another_can_be_opened(shop, mine, alice, settle):
    first = go_to_the_till(mine, alice, PRO)

    let_pass(mine, clock.now(mine) + timedelta(hours=25))
    settle()

    first.refresh_from_db()
    assert first.state == CheckoutIntent.State.EXPIRED
    assert checkout.complete(account=mine, session_id=first.stripe_session_id) == "unpaid"
    second = go_to_the_till(mine, alice, PRO)
    assert second.pk != first.pk and second.state == CheckoutIntent.State.OPEN


def test_a_payment_link_with_somebodys_id_on_it_gives_them_nothing(shop, mine, alice, charlie, settle):
    buy(shop, mine, alice, PAYG)
    theirs = charlie.personal_account
    price = gateway.get("/v1/prices", {"lookup_keys": [PRO]})["data"][0]["id"]
    session = gateway.post(
        "/v1/checkout/sessions",
        {
            "mode": "subscription",
            "client_reference_id": str(theirs.pk),
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://elsewhere.example/",
        },
        idempotency_key="link",
    )
    hosted.pay(shop, session["id"], card=card(), email=charlie.email, name="Mallory")

    settle()
    subscriptions.sync(account=theirs, reason="test")

    assert plan_of(theirs) == "free" and plan_of(mine) == "payg"
    assert not Subscription.objects.filter(account=theirs).exists()
    with pytest.raises(checkout.NotYours):
        checkout.complete(account=theirs, session_id=session["id"])


@pytest.mark.parametrize("act", ["void", "mark_uncollectible"])
def test_a_debt_given_up_by_support_takes_nothing_and_gives_nothing_by_itself(shop, mine, paid, act, settle):
    change_card(shop, mine, DECLINED_LATER)
    let_pass(mine, paid.current_period_end + SOON)
    settle()
    before = entitlements.of(mine, now=clock.now(mine))
    assert before.level == Level.GRACE
    invoice = Payment.objects.get(account=mine, status="open").stripe_invoice_id

    gateway.post(f"/v1/invoices/{invoice}/{act}", idempotency_key=act)
    settle()

    status = at_stripe(shop, mine, "subscription")[0]["status"]
    live = Subscription.objects.live().get(account=mine)
    assert live.status == status
    assert Payment.objects.get(stripe_invoice_id=invoice).status in ("void", "uncollectible")
    after = entitlements.of(mine, now=clock.now(mine))
    assert after.level == (Level.FULL if status == "active" else Level.GRACE)
    if status != "active":
        assert live.first_failed_at == before.subscription.first_failed_at


def test_a_trial_that_support_makes_longer_in_the_dashboard_is_longer_here(shop, mine, alice, settle):
    trial = buy(shop, mine, alice, PRO)
    until = trial.trial_end + timedelta(days=10)

    gateway.post(
        f"/v1/subscriptions/{trial.stripe_subscription_id}",
        {"trial_end": int(until.timestamp()), "proration_behavior": "none"},
        idempotency_key="dashboard",
    )
    settle()

    assert Subscription.objects.live().get(account=mine).trial_end == until
    let_pass(mine, until - timedelta(hours=2))
    settle()
    assert Subscription.objects.live().get(account=mine).status == "trialing" and plan_of(mine) == "pro"
    assert not Payment.objects.filter(account=mine, amount_paid__gt=0).exists()


def test_who_canceled_in_the_trial_is_not_told_of_a_charge_to_come(shop, mine, alice, settle):
    trial = buy(shop, mine, alice, PRO)
    subscriptions.cancel(account=mine)

    let_pass(mine, trial.trial_end - timedelta(days=2))
    settle()

    told = Notification.objects.filter(account=mine, kind="trial_ending")
    assert all("charge" not in one.text or "nothing" in one.text.lower() for one in told), [
        one.text for one in told
    ]
    let_pass(mine, trial.trial_end + SOON)
    settle()
    assert plan_of(mine) == "free" and not Payment.objects.filter(account=mine, amount_paid__gt=0).exists()


def test_a_plan_that_costs_nothing_by_a_coupon_runs_and_gives_its_allowance_once(
    simulator, settings, account, alice, settle
):
    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    bought = buy(simulator, account, alice, "kaboot_pro_month")
    coupon = gateway.post(
        "/v1/coupons", {"percent_off": 100, "duration": "forever"}, idempotency_key="all off"
    )
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"discounts": [{"coupon": coupon["id"]}]},
        idempotency_key="give",
    )
    settle()
    let_pass(account, bought.current_period_end + SOON)
    settle()
    now = clock.now(account)
    metering.consume(account=account, feature="ai_generations", units=7, idempotency_key="k", now=now)

    subscriptions.sync(account=account, reason="test")

    live = Subscription.objects.live().get(account=account)
    assert (live.status, live.next_charge_amount) == ("active", 0)
    [balance] = [
        one for one in metering.balances(account, now=clock.now(account)) if one.feature == "ai_generations"
    ]
    assert (balance.used, balance.remaining) == (7, 243)


def test_who_was_given_a_plan_for_ever_keeps_it_when_a_card_fails(shop, mine, paid, settle):
    grants.give(
        account=mine, plan_key="pro", kind="grandfathered", reason="one of the first", now=clock.now(mine)
    )
    change_card(shop, mine, DECLINED_LATER)

    let_pass(mine, paid.current_period_end + timedelta(days=40))
    settle()

    assert plan_of(mine) == "pro"


def test_the_portal_changes_the_plan_wherever_the_plan_s_item_stands(shop, account, alice, settle):
    bought = buy(shop, account, alice, "hybrid_team_month", 2)
    price = gateway.get("/v1/prices", {"lookup_keys": [PAYG]})["data"][0]["id"]
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"items": [{"price": price}, {"id": bought.items.get().stripe_item_id, "quantity": 5}]},
        idempotency_key="portal",
    )

    settle()

    live = Subscription.objects.live().get(account=account)
    assert (live.plan_key, live.quantity, live.items.count()) == ("team", 5, 2)
