"""dj-stripe as a mirror: its rows say what Stripe says, and its mistakes keep nobody from a plan."""

from importlib.metadata import version

import pytest
from djstripe import models as mirrored

from billing.lifecycle import subscriptions
from billing.models import Alert, Customer, Subscription
from billing.stripe import djstripe_compat, gateway, mirror
from tests.billing.shopping import buy

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_mending_is_looked_at_again_with_every_new_dj_stripe():
    """Read billing/stripe/djstripe_compat.py against the new version; then change WRITTEN_FOR, or delete the file."""
    assert version("dj-stripe") == djstripe_compat.WRITTEN_FOR


def test_what_was_bought_is_in_the_mirror_with_its_links(shop, account, alice):
    bought = buy(shop, account, alice, "hybrid_team_month", 3)

    subscription = mirrored.Subscription.objects.get(id=bought.stripe_subscription_id)
    assert subscription.stripe_data["items"]["data"][0]["quantity"] == 3
    assert subscription.current_period_end == bought.current_period_end
    assert subscription.current_period_start == bought.current_period_start
    assert subscription.customer.id == Customer.objects.get().stripe_customer_id
    invoice = mirrored.Invoice.objects.get()
    assert invoice.subscription == subscription
    assert (invoice.paid, invoice.billing_reason) == (True, "subscription_create")
    assert mirrored.PaymentMethod.objects.count() == 1
    assert not Alert.objects.filter(kind="mirror_failed").exists()


def test_its_own_questions_answer_again(shop, account, alice):
    buy(shop, account, alice, "hybrid_payg_tokens")

    customer = mirrored.Customer.objects.get()
    assert mirrored.Subscription.objects.get().is_valid()
    assert customer.has_any_active_subscription()


def test_our_key_is_not_written_into_the_database_and_a_new_one_works_at_once(shop, account, alice, settings):
    buy(shop, account, alice, "hybrid_team_month", 2)
    assert not mirrored.APIKey.objects.exists()

    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = "sk_test_" + "2" * 24
    subscriptions.cancel(account=account)

    assert mirrored.Subscription.objects.get().stripe_data["cancel_at_period_end"] is True


def test_a_customer_with_a_discount_is_mirrored(shop, account, alice):
    buy(shop, account, alice, "hybrid_payg_tokens")
    coupon = gateway.post("/v1/coupons", {"percent_off": 10, "duration": "forever"}, idempotency_key="coupon")
    discounted = dict(gateway.get(f"/v1/customers/{Customer.objects.get().stripe_customer_id}"))
    discounted["discount"] = {
        "id": "di_1",
        "object": "discount",
        "source": {"type": "coupon", "coupon": coupon},
        "customer": discounted["id"],
        "start": discounted["created"],
        "end": None,
        "subscription": None,
    }

    mirror.store(discounted)

    assert mirrored.Coupon.objects.filter(id=coupon["id"]).exists()


def test_what_has_not_changed_is_not_written_again(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    tables = [mirrored.Customer, mirrored.Subscription, mirrored.Invoice, mirrored.PaymentMethod]
    before = [list(table.objects.values_list("id", "djstripe_updated")) for table in tables]

    subscriptions.sync(account=account, reason="test")

    assert [list(table.objects.values_list("id", "djstripe_updated")) for table in tables] == before


def test_a_shape_the_mirror_cannot_take_is_told_to_staff_and_nothing_else_suffers(
    shop, account, alice, stripe_fails
):
    # Whatever dj-stripe asks for by itself while it files the subscription goes wrong.
    stripe_fails(method="GET", path="/v1/products/*", status=400, times=99)

    bought = buy(shop, account, alice, "hybrid_team_month", 2)

    assert bought.status == "trialing"
    assert Alert.objects.filter(kind="mirror_failed", account=account).exists()
    stripe_fails.call_off()
    subscriptions.sync(account=account, reason="test")
    assert mirrored.Subscription.objects.filter(id=bought.stripe_subscription_id).exists()


def test_a_deleted_customer_is_marked_so(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    gateway.delete(f"/v1/customers/{Customer.objects.get().stripe_customer_id}")

    subscriptions.sync(account=account, reason="test")

    assert mirrored.Customer.objects.get().date_purged is not None
    assert not Subscription.objects.live().exists()
