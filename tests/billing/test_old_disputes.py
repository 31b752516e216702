"""A lost dispute stays lost however many payments came since, and forgiven it is forgiven."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from billing import clock
from billing.deals import offers
from billing.leaving import refunds
from billing.lifecycle import disputed
from billing.models import Customer, Effect, Payment, Subscription
from billing.stripe import disputes, gateway, truth
from simulator.hosted import invoices as hosted_invoice
from simulator.resources import disputes as bank
from tests.billing import purchases
from tests.billing.shopping import card
from tests.billing.test_lost_disputes import (
    as_alice,
    as_stripe_has_it,
    bought,
    dispute,
    forgive,
    kaboot,
    loses,
    sync,
    text,
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


@pytest.mark.parametrize("is_remembered", [True, False])
def test_what_the_bank_took_is_not_offered_back_again_once_it_is_forgiven(
    kaboot, bought, account, settle, only_the_newest, is_remembered
):
    found = loses(kaboot, account, settle)
    forgive(account)
    if not is_remembered:
        Effect.objects.filter(kind=disputes.REMEMBERED).delete()
    pay_an_invoice(account)
    sync(account)

    first, newest = Payment.objects.order_by("pk")
    assert (first.dispute_state, first.amount_taken_back) == ("lost", 500)
    assert [refunds.refundable(one) for one in (first, newest)] == [0, 300]

    # It is still asked about by name: what the bank gives back after all may be given back again.
    with kaboot.transaction():
        bank.reverse(kaboot, kaboot.store.get("dispute", found["id"]))
    sync(account)
    first.refresh_from_db()
    assert (first.dispute_state, first.amount_taken_back, refunds.refundable(first)) == ("", 0, 500)


def test_a_payment_that_was_not_asked_about_keeps_its_mark(kaboot, bought, account, settle):
    loses(kaboot, account, settle)

    disputed.note(account, said=truth.Disputes(found=[], payments=frozenset({"ch_newer"}), is_all=False))

    assert Payment.objects.get(account=account).dispute_state == "lost"


def test_a_sync_asks_once_for_each_disputed_payment(kaboot, bought, account, settle, monkeypatch):
    loses(kaboot, account, settle)
    asked = []
    get = gateway.get
    monkeypatch.setattr(gateway, "get", lambda path, *args: asked.append(path) or get(path, *args))

    sync(account)

    assert asked.count("/v1/disputes") == 1


def test_a_contract_that_ends_for_a_dispute_is_not_offered_a_cancellation(
    kaboot, account, as_alice, client, settle
):
    now = clock.now(account)
    offer = offers.make(
        account=account,
        plan_key="pro",
        interval="month",
        seats=1,
        amount=900,
        periods=3,
        recipient="grace@navy.example",
        open_until=now + timedelta(days=14),
        now=now,
    )
    yes = {"name": "Grace Hopper", "email": "grace@navy.example", "agrees": "on"}
    client.post(urlsplit(offers.link(offer)).path, yes)
    [invoice] = Payment.objects.filter(account=account, status="open")
    assert hosted_invoice.pay_hosted(kaboot, invoice.stripe_invoice_id, card=card()).status == "paid"
    settle()
    contract = Subscription.objects.live().get(account=account)
    assert contract.is_fixed_term and contract.cancel_at > contract.current_period_end

    loses(kaboot, account, settle)

    contract.refresh_from_db()
    assert as_stripe_has_it(contract)["cancel_at"] == int(contract.current_period_end.timestamp())
    page = text(as_alice.get("/billing/cancel/", follow=True))
    assert "The contract says when the plan ends" in page
    assert "Cancel my plan on" not in page
    assert "Talk about the contract" in page
