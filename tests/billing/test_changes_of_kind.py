"""Between kinds of plans: by the unit and flat, for one and by the seat, in trial and after it."""

from datetime import timedelta

import pytest

from billing import clock, entitlements
from billing.models import Payment, PlanChange, Subscription
from tests.billing.changing import acts_for, change, due_on, look, press, token_on
from tests.billing.shopping import at_stripe, buy, let_pass
from tests.billing.test_billing_pages import text
from usage import metering

pytestmark = pytest.mark.django_db(transaction=True)

PAYG, PRO, TEAM = "hybrid_payg_tokens", "hybrid_pro_month", "hybrid_team_month"
SOON = timedelta(hours=3)


@pytest.fixture
def client(settings, request):
    """Charlie, for herself."""
    settings.STRIPE_TEST_CLOCKS = True
    request.getfixturevalue("shop")
    return request.getfixturevalue("as_charlie")


@pytest.fixture
def hers(charlie):
    return charlie.personal_account


@pytest.fixture
def team(settings, shop, account, as_alice):
    """Alice in a browser, acting for her organization."""
    settings.STRIPE_TEST_CLOCKS = True
    return acts_for(as_alice, account)


def live(account):
    return Subscription.objects.live().get(account=account)


def use(account, units, key="k"):
    return metering.consume(
        account=account, feature="tokens", units=units, idempotency_key=key, now=clock.now(account)
    )


def test_from_pay_as_you_go_to_pro_what_was_used_is_paid_and_then_nothing_is_counted(
    client, shop, hers, charlie
):
    buy(shop, hers, charlie, PAYG)
    let_pass(hers, clock.now(hers) + timedelta(days=12))
    use(hers, 60)
    let_pass(hers, clock.now(hers) + timedelta(minutes=10))

    page = look(client, price=PRO)
    assert due_on(page) == 60 * 50 + 2900
    press(client, page)

    after = live(hers)
    assert (after.plan_key, after.items.get().is_metered) == ("pro", False)
    paid = Payment.objects.filter(account=hers).latest("created_at", "pk")
    assert (paid.status, paid.amount_paid) == ("paid", 5900)
    use(hers, 500, "on pro")
    let_pass(hers, after.current_period_end + SOON)
    assert Payment.objects.filter(account=hers).latest("created_at", "pk").amount_paid == 2900


def test_what_was_used_in_the_very_second_of_the_change_is_paid_too(client, shop, hers, charlie):
    """On a test clock, which stands still, that second holds all that was done since it was last moved."""
    buy(shop, hers, charlie, PAYG)
    use(hers, 4)

    page = look(client, price=PRO)
    assert due_on(page) == 4 * 50 + 2900
    press(client, page)

    assert Payment.objects.filter(account=hers).latest("created_at", "pk").amount_paid == 3100


def test_used_while_the_receipt_is_open_makes_a_new_receipt(client, shop, hers, charlie):
    buy(shop, hers, charlie, PAYG)
    token = token_on(look(client, price=PRO))
    use(hers, 7)
    let_pass(hers, clock.now(hers) + timedelta(minutes=2))

    page = client.post("/billing/change/", {"token": token}, follow=True)

    assert "The amount due has changed meanwhile" in text(page)
    assert due_on(page) == 7 * 50 + 2900
    assert live(hers).plan_key == "payg"


def test_from_pro_back_to_pay_as_you_go_at_the_month_s_end(client, shop, hers, charlie):
    let_the_trial_pass = buy(shop, hers, charlie, PRO).trial_end + SOON
    let_pass(hers, let_the_trial_pass)
    end = live(hers).current_period_end

    page = look(client, price=PAYG)
    assert "Tokens unlimited → becomes $0.50 a token" in text(page)
    assert "Then, for what you use $0.50 a token" in text(page)
    press(client, page)
    let_pass(hers, end + SOON)

    after = live(hers)
    assert (after.plan_key, after.items.get().is_metered) == ("payg", True)
    paid = Payment.objects.filter(account=hers, status="paid", amount_paid__gt=0)
    assert [payment.amount_paid for payment in paid] == [2900]


def test_in_a_trial_a_plan_without_one_begins_and_the_trial_ends(client, shop, hers, charlie):
    buy(shop, hers, charlie, PRO)
    page = look(client, price=PAYG)
    assert "Your trial ends with this change" in text(page) and due_on(page) == 0

    press(client, page)

    assert (live(hers).plan_key, live(hers).status) == ("payg", "active")
    assert PlanChange.objects.get().state == "done"


def test_from_pay_as_you_go_to_seats_in_an_organization(team, shop, account, alice):
    buy(shop, account, alice, PAYG)
    page = look(team, price=TEAM, quantity="3")
    assert due_on(page) == 3 * 1900

    press(team, page)

    assert (live(account).plan_key, live(account).quantity) == ("team", 3)
    assert entitlements.of(account, now=clock.now(account)).seats == 3


def test_in_a_trial_seats_are_added_for_nothing_until_its_end(team, shop, account, alice):
    trial_end = buy(shop, account, alice, TEAM, 2).trial_end
    page = look(team, seats="5")
    assert due_on(page) == 0 and "Your trial goes on until" in text(page)

    press(team, page)

    after = live(account)
    assert (after.quantity, after.status, after.trial_end) == (5, "trialing", trial_end)
    let_pass(account, trial_end + SOON)
    assert Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid == 5 * 1900


def test_a_plan_for_one_is_not_sold_to_an_organization(team, shop, account, alice):
    buy(shop, account, alice, PAYG)

    refused = look(team, price=PRO)

    assert refused.status_code == 409 and "Pro is for one person" in text(refused)


def test_a_plan_sold_by_people_is_a_matter_of_writing_to_them(team, shop, account, alice, settings):
    settings.BILLING_CATALOG = "protocol"
    from django.core.management import call_command

    call_command("sync_catalog", verbosity=0)
    buy(shop, account, alice, "protocol_professional_month", 50)

    refused = look(team, seats="150")

    assert "150 seats are Department Enterprise" in text(refused)
    assert "departments@protocol.example" in text(refused)


def test_what_stripe_has_beside_the_plan_stays(team, shop, account, alice):
    """Staff added a price of their own to the subscription; a change of plan leaves it alone."""
    from billing.lifecycle import subscriptions
    from billing.stripe import gateway

    subscription = buy(shop, account, alice, TEAM, 2)
    let_pass(account, subscription.trial_end + SOON)
    product = gateway.post("/v1/products", {"name": "Support by phone"}, idempotency_key="phone")
    extra = gateway.post(
        "/v1/prices",
        {
            "product": product["id"],
            "currency": "usd",
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
        },
        idempotency_key="phone price",
    )
    gateway.post(
        "/v1/subscription_items",
        {"subscription": subscription.stripe_subscription_id, "price": extra["id"], "quantity": 1},
        idempotency_key="phone item",
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    assert change(team, seats="4").state == "done"

    items = at_stripe(shop, account, "subscription")[0]["items"]["data"]
    assert {(item["price"], item["quantity"]) for item in items} >= {(extra["id"], 1)}
    assert live(account).quantity == 4
