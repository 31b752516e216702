"""A lost dispute stays lost however many payments came since, and forgiven it is forgiven."""

import pytest

from billing.models import Customer, Payment
from billing.stripe import disputes, truth
from tests.billing import purchases
from tests.billing.test_lost_disputes import (
    as_alice,
    as_stripe_has_it,
    bought,
    dispute,
    forgive,
    kaboot,
    loses,
    sync,
)

__all__ = ["as_alice", "bought", "kaboot"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def only_the_newest(monkeypatch):
    """Stripe is asked for one charge, as if a hundred had come since."""
    monkeypatch.setattr(truth, "NEWEST_CHARGES", 1)
    monkeypatch.setattr(disputes, "NEWEST_CHARGES", 1)


def pay_an_invoice(account):
    client = purchases.at_stripe()
    customer = Customer.objects.get(account=account).stripe_customer_id
    [subscription] = client.v1.subscriptions.list({"customer": customer, "status": "all"}).data
    client.v1.invoice_items.create({"customer": customer, "amount": 300, "currency": "usd"})
    invoice = client.v1.invoices.create(
        {
            "customer": customer,
            "pending_invoice_items_behavior": "include",
            "default_payment_method": subscription.default_payment_method,
        }
    )
    client.v1.invoices.finalize_invoice(invoice.id)
    client.v1.invoices.pay(invoice.id)


def hold(account):
    return Customer.objects.get(account=account).dispute_state


@pytest.mark.parametrize("was_marked", [True, False], ids=["an invoice's", "a payment without an invoice"])
def test_a_newer_dispute_does_not_lift_the_hold_of_an_older_one_that_was_lost(
    kaboot, bought, account, settle, only_the_newest, was_marked
):
    loses(kaboot, account, settle)
    if not was_marked:
        Payment.objects.update(dispute_state="", amount_taken_back=0)
    pay_an_invoice(account)
    sync(account)
    dispute(kaboot, account)
    settle()

    assert hold(account) == "lost"
    assert as_stripe_has_it(bought)["cancel_at_period_end"]


def test_an_older_one_is_forgiven_as_well_and_the_plan_goes_on(
    kaboot, bought, account, settle, only_the_newest
):
    loses(kaboot, account, settle)
    pay_an_invoice(account)
    sync(account)

    assert len(forgive(account)) == 1

    assert hold(account) == ""
    assert not as_stripe_has_it(bought)["cancel_at_period_end"]
