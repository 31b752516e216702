"""Buying: from the button to the hosted page and back, for those in a hurry, in two tabs, and with wrong
wishes.
"""

import threading

import pytest
from django.db import connection

from billing import catalog, clock
from billing.lifecycle import checkout, subscriptions
from billing.models import Alert, CheckoutIntent, Customer, Effect, Payment, Subscription, TrialRedemption
from billing.stripe import gateway
from tests.billing.shopping import DECLINED, at_stripe, buy, go_to_the_till, pay

pytestmark = pytest.mark.django_db(transaction=True)


def test_pro_is_bought_with_a_trial_and_a_card(shop, alice):
    subscription = buy(shop, alice.personal_account, alice, "hybrid_pro_month")

    assert (subscription.plan_key, subscription.price_lookup_key) == ("pro", "hybrid_pro_month")
    assert subscription.status == "trialing"
    assert (subscription.trial_end - subscription.started_at).days == 14
    assert subscription.next_charge_amount == 2900
    assert Customer.objects.get(account=alice.personal_account).card_last4 == "4242"
    assert CheckoutIntent.objects.get().state == "complete"


def test_seats_are_bought_by_number(shop, account, alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", quantity=5)

    assert (subscription.plan_key, subscription.quantity) == ("team", 5)
    assert subscription.items.get().quantity == 5


def test_pay_as_you_go_has_no_quantity_and_no_trial(shop, account, alice):
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")

    item = subscription.items.get()
    assert (subscription.status, subscription.plan_key) == ("active", "payg")
    assert (item.is_metered, item.lookup_key) == (True, "hybrid_payg_tokens")


def test_the_page_at_stripe_says_whose_it_is_and_where_to_go_back_to(shop, account, alice):
    intent = go_to_the_till(account, alice, "hybrid_team_month", 2)

    session = gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")
    assert session["client_reference_id"] == str(account.pk)
    assert session["metadata"] == {"tallyhouse_account": str(account.pk)}
    assert session["success_url"] == "http://testserver/billing/upgraded/?session_id={CHECKOUT_SESSION_ID}"
    assert session["cancel_url"] == "http://testserver/billing/checkout-canceled/"
    assert session["allow_promotion_codes"] is True
    assert intent.url == session["url"]


def test_a_declined_card_buys_nothing_and_another_card_does(shop, account, alice, settings):
    settings.BILLING_CATALOG = "kaboot"
    push_catalog()
    intent = go_to_the_till(account, alice, monthly())

    assert pay(shop, intent, DECLINED).status == "declined"

    assert checkout.complete(account=account, session_id=intent.stripe_session_id) == "unpaid"
    assert not Subscription.objects.filter(account=account).exists()
    assert pay(shop, intent).status == "paid"
    assert checkout.complete(account=account, session_id=intent.stripe_session_id) == "active"
    assert Payment.objects.get(account=account).amount_paid == 500


def test_a_page_left_open_is_not_a_purchase(shop, account, alice):
    intent = go_to_the_till(account, alice, "hybrid_team_month", 2)

    assert checkout.complete(account=account, session_id=intent.stripe_session_id) == "unpaid"


def test_a_purchase_shows_only_to_its_own_account(shop, account, alice, charlie):
    intent = go_to_the_till(account, alice, "hybrid_team_month", 2)

    with pytest.raises(checkout.NotYours):
        checkout.complete(account=charlie.personal_account, session_id=intent.stripe_session_id)
    with pytest.raises(checkout.NotYours):
        checkout.complete(account=account, session_id="cs_test_of_nobody")
    with pytest.raises(checkout.NotYours):
        checkout.complete(account=account, session_id="")


def test_the_same_choice_leads_to_the_same_page(shop, account, alice):
    first = go_to_the_till(account, alice, "hybrid_team_month", 3)

    assert go_to_the_till(account, alice, "hybrid_team_month", 3).url == first.url


def test_another_choice_closes_the_first_page(shop, account, alice):
    first = go_to_the_till(account, alice, "hybrid_team_month", 3)
    second = go_to_the_till(account, alice, "hybrid_team_month", 4)

    assert gateway.get(f"/v1/checkout/sessions/{first.stripe_session_id}")["status"] == "expired"
    assert gateway.get(f"/v1/checkout/sessions/{second.stripe_session_id}")["status"] == "open"
    assert sorted(CheckoutIntent.objects.values_list("state", flat=True)) == ["expired", "open"]


def test_who_has_a_plan_does_not_buy_it_again(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)

    with pytest.raises(checkout.AlreadySubscribed):
        go_to_the_till(account, alice, "hybrid_payg_tokens")


def test_a_plan_we_have_not_heard_of_yet_counts_too(shop, account, alice):
    intent = go_to_the_till(account, alice, "hybrid_team_month", 2)
    pay(shop, intent)  # and the browser is closed before it comes back

    with pytest.raises(checkout.AlreadySubscribed):
        go_to_the_till(account, alice, "hybrid_payg_tokens")

    assert Subscription.objects.live().get(account=account).plan_key == "team"


def test_who_paid_in_one_tab_and_clicks_in_another_is_not_told_that_nothing_was_paid(shop, account, alice):
    intent = go_to_the_till(account, alice, "hybrid_team_month", 2)
    pay(shop, intent)
    with pytest.raises(checkout.AlreadySubscribed):
        go_to_the_till(account, alice, "hybrid_payg_tokens")

    assert checkout.complete(account=account, session_id=intent.stripe_session_id) == "active"
    assert CheckoutIntent.objects.get(pk=intent.pk).state == "complete"


@pytest.mark.parametrize(
    ("quantity", "why"), [(0, "2 or more"), (1, "2 or more"), (-1, "2 or more"), (1_000_000_000, "sales@")]
)
def test_seats_only_in_the_numbers_they_are_sold(shop, account, alice, quantity, why):
    with pytest.raises(checkout.BadQuantity, match=why):
        go_to_the_till(account, alice, "hybrid_team_month", quantity)
    assert not CheckoutIntent.objects.exists()


def test_a_plan_that_is_not_sold_by_the_seat_is_bought_once(shop, account, alice):
    with pytest.raises(checkout.BadQuantity):
        go_to_the_till(account, alice, "hybrid_payg_tokens", 2)


def test_a_plan_for_organizations_is_not_sold_to_a_person(shop, alice):
    with pytest.raises(checkout.WrongAudience, match="organization"):
        go_to_the_till(alice.personal_account, alice, "hybrid_team_month", 2)


def test_a_plan_for_a_person_is_not_sold_to_an_organization(shop, account, alice):
    with pytest.raises(checkout.WrongAudience, match="person"):
        go_to_the_till(account, alice, "hybrid_pro_month")


def test_a_suspended_account_cannot_buy(shop, account, alice):
    from billing.lifecycle import customers

    customers.row(account)
    Customer.objects.filter(account=account).update(suspended_at=clock.wall())

    with pytest.raises(checkout.NotForSale, match=r"help@transformer\.example"):
        go_to_the_till(account, alice, "hybrid_payg_tokens")


def test_a_price_that_stripe_does_not_know_is_refused_in_words(simulator, account, alice):
    with pytest.raises(checkout.NotForSale, match="nothing was charged"):
        go_to_the_till(account, alice, "hybrid_payg_tokens")

    assert "sync_catalog" in Alert.objects.get(kind="price_missing").message


def test_without_an_answer_from_stripe_nothing_is_opened(shop, account, alice, stripe_fails):
    go_to_the_till(account, alice, "hybrid_payg_tokens")
    stripe_fails(method="GET", path="/v1/subscriptions", status=500, times=9)

    with pytest.raises(gateway.StripeUnavailable):
        go_to_the_till(account, alice, "hybrid_team_month", 2)

    assert not [s for s in at_stripe(shop, account, "checkout.session") if s["status"] == "open"]


def test_a_session_made_before_a_crash_is_closed_when_the_next_is_opened(shop, account, alice):
    go_to_the_till(account, alice, "hybrid_payg_tokens")
    CheckoutIntent.objects.update(stripe_session_id=None, url="", state="opening")  # died before the commit

    second = go_to_the_till(account, alice, "hybrid_payg_tokens")

    still_open = [s["id"] for s in at_stripe(shop, account, "checkout.session") if s["status"] == "open"]
    assert still_open == [second.stripe_session_id]


def test_two_tabs_that_both_pay_end_in_one_plan_and_one_payment(shop, account, alice, settings):
    settings.BILLING_CATALOG = "kaboot"
    push_catalog()
    customer = buy_in_two_tabs(shop, account, alice)

    [kept, canceled] = at_stripe(shop, account, "subscription")
    assert (kept["status"], canceled["status"]) == ("active", "canceled")
    live = Subscription.objects.live().get(account=account)
    assert live.stripe_subscription_id == kept["id"]
    paid = sum(p.amount_paid for p in Payment.objects.filter(account=account))
    refunded = sum(p.amount_refunded for p in Payment.objects.filter(account=account))
    assert (paid, refunded) == (1000, 500)
    assert len(list(shop.store.all("refund"))) == 1
    assert Alert.objects.filter(kind="duplicate_subscription").count() == 1
    assert Effect.objects.filter(kind="refund").count() == 1
    assert customer


def test_a_refund_lost_to_a_crash_is_made_good_by_the_next_sync(shop, account, alice, settings, stripe_fails):
    settings.BILLING_CATALOG = "kaboot"
    push_catalog()
    stripe_fails(method="POST", path="/v1/refunds", status=500, times=9)
    with pytest.raises(gateway.StripeUnavailable):
        buy_in_two_tabs(shop, account, alice)
    assert not Effect.objects.filter(kind="refund").exists()
    stripe_fails.call_off()

    assert subscriptions.sync(account=account, reason="test")

    assert sum(p.amount_refunded for p in Payment.objects.filter(account=account)) == 500
    assert not Effect.objects.filter(kind="duplicate_subscription", done_at__isnull=True).exists()
    assert Subscription.objects.live().filter(account=account).count() == 1


def test_a_refund_that_stripe_refuses_is_left_to_staff_and_the_plan_is_there(
    shop, account, alice, settings, stripe_fails
):
    settings.BILLING_CATALOG = "kaboot"
    push_catalog()
    stripe_fails(method="POST", path="/v1/refunds", status=400, times=9)

    buy_in_two_tabs(shop, account, alice)

    assert Subscription.objects.live().get(account=account).status == "active"
    assert "by hand" in Alert.objects.get(kind="refund_by_hand").message
    assert not Effect.objects.filter(kind="duplicate_subscription", done_at__isnull=True).exists()
    row = Customer.objects.get(account=account)
    assert row.sync_served == row.sync_wanted


def test_a_second_plan_that_was_paid_for_months_is_left_to_staff(shop, account, alice, settings):
    settings.BILLING_CATALOG = "kaboot"
    push_catalog()
    buy(shop, account, alice, monthly())
    row = Customer.objects.get(account=account)
    second = gateway.post(
        "/v1/subscriptions",
        {
            "customer": row.stripe_customer_id,
            "items": [{"price": shop.store.find("price", "lookup_key", monthly())[0]["id"]}],
            "default_payment_method": at_stripe(shop, account, "payment_method")[0]["id"],
        },
        idempotency_key="made-by-staff",
    )
    far = int(clock.now(account).timestamp()) + 10 * 86_400
    path = f"/v1/test_helpers/test_clocks/{row.test_clock_id}"
    gateway.post(f"{path}/advance", {"frozen_time": far}, idempotency_key="days-later")

    assert subscriptions.sync(account=account, reason="test")
    assert subscriptions.sync(account=account, reason="test")

    assert [sub["status"] for sub in at_stripe(shop, account, "subscription")] == ["active", "active"]
    assert not list(shop.store.all("refund"))
    assert Alert.objects.get(kind="two_subscriptions").account == account
    beside = Subscription.objects.get(stripe_subscription_id=second["id"])
    assert (beside.is_live, beside.needs_review) == (False, True)


@pytest.mark.postgres
def test_eight_hurried_clicks_make_one_customer_and_one_page(shop, account, alice):
    barrier, urls, errors = threading.Barrier(8), [], []

    def click() -> None:
        try:
            barrier.wait(10)
            urls.append(go_to_the_till(account, alice, "hybrid_team_month", 2).url)
        except checkout.Busy as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(urls) + len(errors) == 8
    assert len(set(urls)) == 1
    assert len(list(shop.store.all("customer"))) == 1
    still_open = [s for s in at_stripe(shop, account, "checkout.session") if s["status"] == "open"]
    assert len(still_open) == 1


def test_the_portal_opens_for_the_right_customer_and_leads_back(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)

    url = checkout.open_portal(account=account, return_path="/billing/", flow="payment_method_update")

    assert url.startswith("http")
    [session] = shop.store.all("billing_portal.session")
    assert session["customer"] == Customer.objects.get(account=account).stripe_customer_id
    assert session["return_url"] == "http://testserver/billing/"


@pytest.mark.parametrize("elsewhere", ["//evil.example/", "https://evil.example/", "/\\evil.example", ""])
def test_the_portal_never_leads_elsewhere(shop, account, elsewhere):
    with pytest.raises(ValueError, match="lead back"):
        checkout.open_portal(account=account, return_path=elsewhere)


def test_one_trial_per_account_and_person(shop, alice):
    mine = alice.personal_account
    first = buy(shop, mine, alice, "hybrid_pro_month")
    gateway.delete(f"/v1/subscriptions/{first.stripe_subscription_id}")

    second = buy(shop, mine, alice, "hybrid_pro_month")

    assert (second.status, second.trial_end) == ("active", None)
    assert TrialRedemption.objects.filter(kind="account").count() == 1


def push_catalog() -> None:
    from django.core.management import call_command

    call_command("sync_catalog", verbosity=0)


def monthly() -> str:
    [price] = [
        price
        for plan in catalog.current().for_sale()
        for price in plan.base_prices
        if price.interval == "month"
    ][:1]
    return price.lookup_key


def buy_in_two_tabs(shop, account, alice) -> Customer:
    """Both pages were open before either was paid, as when two were opened in the same second."""
    first = go_to_the_till(account, alice, monthly())
    session = shop.store.get("checkout.session", first.stripe_session_id)
    twin = gateway.post(
        "/v1/checkout/sessions",
        {
            "mode": "subscription",
            "customer": session["customer"],
            "line_items": [
                {"price": shop.store.find("price", "lookup_key", monthly())[0]["id"], "quantity": 1}
            ],
            "success_url": "http://testserver/",
        },
        idempotency_key="second-tab",
    )
    from simulator.hosted import checkout as page
    from tests.billing.shopping import card

    assert pay(shop, first).status == "paid"
    assert page.pay(shop, twin["id"], card=card(), email="b@example.com", name="B").status == "paid"
    checkout.complete(account=account, session_id=first.stripe_session_id)
    return Customer.objects.get(account=account)


def test_a_price_that_differs_between_our_page_and_stripe_is_not_sold(shop, account, alice):
    """Between a push of a new price list and the restart that loads it, the page would name another sum."""
    (price,) = [p for p in shop.store.all("price") if p["lookup_key"] == "hybrid_team_month"]
    gateway.post(
        "/v1/prices",
        {
            "product": price["product"],
            "currency": "usd",
            "unit_amount": 3900,
            "recurring": {"interval": "month"},
            "lookup_key": "hybrid_team_month",
            "transfer_lookup_key": True,
        },
        idempotency_key="a-new-price",
    )

    with pytest.raises(checkout.NotForSale, match="being changed just now"):
        go_to_the_till(account, alice, "hybrid_team_month", 2)
