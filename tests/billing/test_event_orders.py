"""Stripe promises no order and may send twice: whatever the post does, the books say the same in the end."""

import random

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing.models import Customer, Effect, Payment, Subscription, WebhookEvent
from billing.stripe import inbox
from tests.billing import bookkeeping, purchases, shopping
from tests.billing.letters import post

pytestmark = pytest.mark.django_db(transaction=True)

# Two hundred orders on PostgreSQL, in parts that several processes share; on SQLite one part.
PARTS = [range(first, first + 25) for first in range(1, 201 if connection.vendor == "postgresql" else 26, 25)]
PRICE = "hybrid_pro_month"


@pytest.fixture(autouse=True)
def _in_everybodys_time(settings):
    settings.STRIPE_TEST_CLOCKS = False
    settings.BILLING_CATALOG = "hybrid"


@pytest.fixture
def account(alice):
    """Alice's own."""
    return alice.personal_account


def deliver(letters, chance):
    """Post the letters; the workers read whenever it pleases them."""
    client = Client()
    for letter in letters:
        assert post(letter.event, client=client).status_code == 200
        if chance.random() < 0.15:
            inbox.drain(now=timezone.now(), limit=chance.randint(1, 5))


def read_the_rest():
    while inbox.drain(now=timezone.now()):
        pass
    assert not WebhookEvent.objects.filter(state__in=WebhookEvent.WAITING).exists()


@pytest.mark.slow
@pytest.mark.parametrize("orders", PARTS, ids=lambda orders: f"from_{orders.start}")
def test_a_first_purchase_ends_in_the_same_books_whatever_the_order(shop, account, alice, orders):
    intent = shopping.go_to_the_till(account, alice, PRICE)
    before = bookkeeping.remember()
    shop.deliveries.forget()
    assert shopping.pay(shop, intent).status == "paid"
    letters = shop.deliveries.take()
    types = {letter.event["type"] for letter in letters}
    assert {"checkout.session.completed", "customer.subscription.created", "invoice.paid"} <= types
    deliver(letters, random.Random(0))
    read_the_rest()
    expected = bookkeeping.read()
    assert Subscription.objects.get().status in ("active", "trialing")
    assert Payment.objects.exists()

    for seed in orders:
        bookkeeping.go_back(before)
        chance = random.Random(seed)
        shuffled = letters + chance.choices(letters, k=chance.randint(0, 4))
        chance.shuffle(shuffled)

        deliver(shuffled, chance)
        read_the_rest()

        assert bookkeeping.read() == expected, f"order {seed} ended differently"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_customers_year_ends_in_what_stripe_says_however_late_the_post(shop, account, alice, seed):
    """Letters of each act arrive during later acts, shuffled and doubled, some after everything is over."""
    chance = random.Random(seed)
    on_the_way = []

    def post_some():
        nonlocal on_the_way
        on_the_way += shop.deliveries.take()
        chance.shuffle(on_the_way)
        cut = chance.randint(0, len(on_the_way))
        deliver(on_the_way[:cut] + on_the_way[: cut // 3], chance)
        on_the_way = on_the_way[cut:]

    first = shopping.go_to_the_till(account, alice, PRICE)
    post_some()
    assert shopping.pay(shop, first).status == "paid"
    post_some()
    subscription = shopping.at_stripe(shop, account, "subscription")[0]["id"]
    client = purchases.at_stripe()
    client.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    post_some()
    client.v1.subscriptions.update(subscription, {"cancel_at_period_end": False})
    post_some()
    client.v1.subscriptions.cancel(subscription)
    post_some()
    deliver([*on_the_way, *shop.deliveries.take()], chance)
    read_the_rest()
    again = shopping.go_to_the_till(account, alice, PRICE)
    assert shopping.pay(shop, again).status == "paid"
    late = shop.deliveries.take()
    chance.shuffle(late)
    deliver(late, chance)
    read_the_rest()

    at_stripe = {entry["id"]: entry["status"] for entry in shopping.at_stripe(shop, account, "subscription")}
    ours = dict(Subscription.objects.values_list("stripe_subscription_id", "status"))
    assert ours == at_stripe
    assert sorted(ours.values())[1] == "canceled" and Subscription.objects.live().count() == 1
    invoices = {entry["id"]: entry["status"] for entry in shopping.at_stripe(shop, account, "invoice")}
    assert dict(Payment.objects.values_list("stripe_invoice_id", "status")) == invoices
    assert (
        Customer.objects.get(account=account).sync_served == Customer.objects.get(account=account).sync_wanted
    )
    assert Effect.objects.values("key").distinct().count() == Effect.objects.count()
