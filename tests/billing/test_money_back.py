"""Money back: what became of the plan when a payment was given back in full."""

from datetime import timedelta

import pytest

from billing import access, clock, entitlements
from billing.lifecycle import subscriptions
from billing.models import Alert, Effect, Payment, Subscription
from billing.stripe import gateway
from tests.billing.shopping import at_stripe, buy, let_pass

pytestmark = pytest.mark.django_db(transaction=True)

MONTHLY = "kaboot_pro_month"


@pytest.fixture
def kaboot(simulator, settings):
    """Five dollars a month, with a money-back promise of seven days."""
    from django.core.management import call_command

    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


def give_back(payment: Payment, amount: int | None = None) -> None:
    """What staff do in Stripe's Dashboard."""
    gateway.post(
        "/v1/refunds",
        {"payment_intent": payment.stripe_payment_intent_id, "amount": amount or payment.amount_paid},
        idempotency_key=f"staff:{payment.stripe_invoice_id}",
    )


def test_money_back_in_the_first_week_ends_the_plan_with_it(kaboot, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    give_back(Payment.objects.get())

    subscriptions.sync(account=account, reason="test")

    assert [sub["status"] for sub in at_stripe(kaboot, account, "subscription")] == ["canceled"]
    assert not Subscription.objects.live().exists()
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FREE
    assert Effect.objects.filter(kind="refunded_in_full").count() == 1


def test_who_buys_again_after_money_back_keeps_the_new_plan(kaboot, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    give_back(Payment.objects.get())
    subscriptions.sync(account=account, reason="test")

    again = buy(kaboot, account, alice, MONTHLY)
    subscriptions.sync(account=account, reason="test")

    assert Subscription.objects.live().get() == again


def test_a_later_refund_leaves_the_plan_on_and_staff_are_asked_once(kaboot, account, alice):
    bought = buy(kaboot, account, alice, MONTHLY)
    let_pass(account, clock.now(account) + timedelta(days=8))
    give_back(Payment.objects.get())

    subscriptions.sync(account=account, reason="test")
    subscriptions.sync(account=account, reason="test")

    assert Subscription.objects.live().get() == bought
    alert = Alert.objects.get(kind="refunded_in_full")
    assert alert.times_seen == 1
    assert "the plan goes on" in alert.message


def test_a_part_given_back_changes_nothing(kaboot, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    give_back(Payment.objects.get(), amount=100)

    subscriptions.sync(account=account, reason="test")

    assert Subscription.objects.live().exists()
    assert not Alert.objects.exists()
