"""One customer at Stripe per account, whatever is clicked, lost or forgotten on the way."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from billing import clock, effects
from billing.lifecycle import customers, lease, subscriptions
from billing.models import Alert, Customer, Effect, Payment, Subscription
from billing.stripe import gateway
from tests.accounts.conftest import acting_for
from tests.billing import purchases
from tests.billing.shopping import buy

pytestmark = pytest.mark.django_db(transaction=True)


def make(account) -> Customer:
    with lease.hold(account=account, purpose="test", wait_seconds=20) as held:
        return customers.ensure(account=account, held=held)


def grow_old(account) -> None:
    """As if our row had been made so long ago that Stripe may have forgotten its key."""
    row = Customer.objects.get(pk=account.pk)
    Customer.objects.filter(pk=account.pk).update(created_at=row.created_at - timedelta(days=3))


def forget_keys(simulator) -> None:
    """What Stripe does with idempotency keys after a day."""
    with simulator.transaction():
        for kept in list(simulator.store.all("_idempotency")):
            simulator.store.remove("_idempotency", kept["id"])


def count(simulator, kind="customer") -> int:
    return len(list(simulator.store.all(kind)))


def test_a_customer_carries_the_accounts_id_name_and_address(simulator, account):
    made = make(account)

    seen = gateway.get(f"/v1/customers/{made.stripe_customer_id}")
    assert seen["metadata"] == {"tallyhouse_account": str(account.pk)}
    assert (seen["name"], seen["email"]) == ("Alice & Co", "alice@example.com")
    assert made.livemode is False


def test_asking_again_makes_no_second_one(simulator, account):
    assert make(account).stripe_customer_id == make(account).stripe_customer_id
    assert count(simulator) == 1


def test_a_crash_between_the_call_and_the_commit_makes_no_second_one(simulator, account):
    first = make(account).stripe_customer_id
    Customer.objects.update(stripe_customer_id=None)  # the commit that never came

    assert make(account).stripe_customer_id == first
    assert count(simulator) == 1


def test_a_crash_then_a_new_name_makes_no_second_one(simulator, account):
    first = make(account).stripe_customer_id
    Customer.objects.update(stripe_customer_id=None)
    account.name = "Alice & Daughters"
    account.save()

    assert make(account).stripe_customer_id == first
    assert gateway.get(f"/v1/customers/{first}")["name"] == "Alice & Daughters"


def test_a_new_name_and_billing_address_reach_the_next_invoice_although_stripe_was_away(
    simulator, account, alice, stripe_fails
):
    stripe_id = make(account).stripe_customer_id
    stripe_fails(method="POST", path=f"/v1/customers/{stripe_id}", status=0, when="before", times=3)
    new = {"name": "Alice Ltd", "billing_email": "money@alice.example", "timezone": "UTC"}

    assert acting_for(account, alice).post("/account/", new).status_code == 302
    assert effects.deliver_owed(now=clock.wall()) == 0
    assert gateway.get(f"/v1/customers/{stripe_id}")["name"] == "Alice & Co"
    assert effects.deliver_owed(now=clock.wall() + timedelta(hours=1)) == 1

    seen = gateway.get(f"/v1/customers/{stripe_id}")
    assert (seen["name"], seen["email"]) == ("Alice Ltd", "money@alice.example")


def test_what_staff_correct_reaches_stripe_too(simulator, account, as_dana):
    stripe_id = make(account).stripe_customer_id
    members = {"members-TOTAL_FORMS": 0, "members-INITIAL_FORMS": 0}

    as_dana.post(
        f"/staff/accounts/account/{account.pk}/change/", {"name": "Alice Inc", "timezone": "UTC", **members}
    )
    effects.deliver_owed(now=clock.wall())

    assert gateway.get(f"/v1/customers/{stripe_id}")["name"] == "Alice Inc"


def test_who_has_bought_nothing_is_not_talked_about_at_stripe(simulator, account, alice):
    acting_for(account, alice).post("/account/", {"name": "Alice Ltd", "timezone": "UTC"})

    assert not Effect.objects.exists()
    assert count(simulator) == 0


@pytest.mark.parametrize("on_a_clock", [True, False])
def test_a_crash_that_is_found_days_later_makes_no_second_one(simulator, account, settings, on_a_clock):
    settings.STRIPE_TEST_CLOCKS = on_a_clock
    first = make(account).stripe_customer_id
    Customer.objects.update(stripe_customer_id=None)
    grow_old(account)
    forget_keys(simulator)

    assert make(account).stripe_customer_id == first
    assert count(simulator) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_was_cut_off_is_taken_up_again(simulator, account, stripe_fails, when):
    stripe_fails(method="POST", path="/v1/customers", status=0, when=when, times=1)

    assert make(account).stripe_customer_id
    assert count(simulator) == 1


def test_a_customer_that_came_through_although_we_heard_nothing_is_used(simulator, account, stripe_fails):
    stripe_fails(method="POST", path="/v1/customers", status=0, when="after", times=3)
    with pytest.raises(gateway.StripeUnavailable):
        make(account)
    assert Customer.objects.get().stripe_customer_id is None

    assert make(account).stripe_customer_id
    assert count(simulator) == 1


def test_a_stranger_with_the_same_address_is_left_alone(simulator, account):
    gateway.post("/v1/customers", {"email": "alice@example.com"}, idempotency_key="stranger")

    made = make(account)

    assert count(simulator) == 2
    assert gateway.get(f"/v1/customers/{made.stripe_customer_id}")["metadata"]


def test_a_customer_deleted_at_stripe_ends_the_plan_and_makes_room_for_a_new_one(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    gone = Customer.objects.get().stripe_customer_id
    gateway.delete(f"/v1/customers/{gone}")

    assert subscriptions.sync(account=account, reason="customer.deleted")

    row = Customer.objects.get()
    assert (row.stripe_customer_id, row.former_stripe_ids, row.card_last4) == (None, [gone], "")
    ended = Subscription.objects.get()
    assert (ended.status, ended.is_live) == ("canceled", False)
    assert ended.ended_at is not None

    again = buy(shop, account, alice, "hybrid_team_month", 2)

    assert Customer.objects.get().stripe_customer_id not in (None, gone)
    assert again.stripe_customer_id == Customer.objects.get().stripe_customer_id


@pytest.fixture
def owing(shop, account, alice):
    """Deleted at Stripe with an invoice that is still open."""
    buy(shop, account, alice, "hybrid_team_month", 2)
    client, customer = purchases.at_stripe(), Customer.objects.get().stripe_customer_id
    client.v1.invoice_items.create({"customer": customer, "amount": 300, "currency": "usd"})
    made = client.v1.invoices.create(
        {"customer": customer, "pending_invoice_items_behavior": "include", "auto_advance": False}
    )
    client.v1.invoices.finalize_invoice(made.id)
    subscriptions.sync(account=account, reason="test")
    client.v1.customers.delete(customer)
    return Payment.objects.get(status="open")


def served() -> int:
    return Customer.objects.get().sync_served


def test_an_invoice_voided_after_its_customer_was_deleted_is_not_asked_for_any_more(
    owing, account, alice, settle
):
    browser = acting_for(account, alice)
    settle()
    assert owing.hosted_invoice_url in browser.get("/billing/").content.decode()

    purchases.at_stripe().v1.invoices.void_invoice(owing.stripe_invoice_id)
    settle()

    owing.refresh_from_db()
    assert owing.status == "void"
    before = served()
    assert ">Void</span>" in browser.get("/billing/").content.decode()
    assert served() == before
    assert not Alert.objects.filter(kind="mirror_failed").exists()


def test_billing_hears_of_it_without_a_letter_and_asks_no_more(owing, account, alice, simulator, settle):
    settle()
    purchases.at_stripe().v1.invoices.void_invoice(owing.stripe_invoice_id)
    simulator.deliveries.forget()
    browser = acting_for(account, alice)

    browser.get("/billing/")
    after_one = served()
    browser.get("/billing/")

    owing.refresh_from_db()
    assert (owing.status, served()) == ("void", after_one)


def test_an_invoice_paid_after_its_customer_was_deleted_knows_its_charge(owing, account, settle):
    settle()
    purchases.at_stripe().v1.invoices.pay(owing.stripe_invoice_id, {"payment_method": "pm_card_visa"})
    settle()

    owing.refresh_from_db()
    assert (owing.status, owing.amount_paid) == ("paid", 300)
    assert owing.stripe_charge_id.startswith("ch_")


def wipe(simulator, account) -> None:
    """As "Delete all test data" in the Dashboard."""
    customer = Customer.objects.get(account=account)
    for name in [customer.stripe_customer_id, *customer.former_stripe_ids]:
        for kind in ("subscription", "invoice"):
            for one in simulator.store.find(kind, "customer", name):
                simulator.store.remove(kind, one["id"])
        simulator.store.remove("customer", name)
    simulator.deliveries.forget()


@pytest.mark.parametrize("is_deleted_first", [True, False])
def test_what_was_wiped_with_all_test_data_is_owed_no_more(
    owing, account, alice, simulator, settle, is_deleted_first
):
    if is_deleted_first:
        settle()
    wipe(simulator, account)
    told = StringIO()

    call_command("reconcile_billing", stdout=told)

    owing.refresh_from_db()
    assert (owing.status, owing.hosted_invoice_url) == ("void", "")
    assert f"invoice {owing.number} open" in told.getvalue()
    page = acting_for(account, alice).get("/billing/").content.decode()
    assert ">Void</span>" in page


def test_billing_itself_hears_that_it_was_wiped(owing, account, alice, simulator, settle):
    settle()
    wipe(simulator, account)

    assert ">Void</span>" in acting_for(account, alice).get("/billing/").content.decode()


def test_closing_asks_about_it_before_it_says_that_something_is_owed(
    owing, account, alice, simulator, settle
):
    settle()
    browser = acting_for(account, alice)
    refused = browser.post("/account/close/", {"name": account.name}, follow=True).content.decode()
    assert "The account is closed" not in refused
    purchases.at_stripe().v1.invoices.void_invoice(owing.stripe_invoice_id)
    simulator.deliveries.forget()

    closed = browser.post("/account/close/", {"name": account.name}, follow=True).content.decode()

    assert "The account is closed" in closed


def test_a_deleted_test_clock_takes_its_customer_along_and_a_new_one_is_made(shop, account, alice):
    buy(shop, account, alice, "hybrid_team_month", 2)
    before = Customer.objects.get()
    gateway.delete(f"/v1/test_helpers/test_clocks/{before.test_clock_id}")

    assert subscriptions.sync(account=account, reason="test")
    assert not Subscription.objects.live().exists()
    after = make(account)

    assert after.test_clock_id != before.test_clock_id
    assert after.clock_now >= before.clock_now


def test_in_live_mode_an_unknown_customer_is_a_wrong_key_and_takes_nothing_away(
    shop, account, alice, settings
):
    buy(shop, account, alice, "hybrid_team_month", 2)
    Customer.objects.update(stripe_customer_id="cus_of_another_account")
    settings.STRIPE_LIVE_MODE = True

    with pytest.raises(gateway.NotFound):
        subscriptions.sync(account=account, reason="test")

    assert Subscription.objects.live().get().status == "trialing"
    assert Customer.objects.get().stripe_customer_id == "cus_of_another_account"


@pytest.mark.postgres
@pytest.mark.parametrize("on_a_clock", [True, False])
def test_eight_who_ask_at_once_get_the_same_one(simulator, account, settings, on_a_clock):
    settings.STRIPE_TEST_CLOCKS = on_a_clock
    barrier, got = threading.Barrier(8), []

    def ask() -> None:
        try:
            barrier.wait(10)
            got.append(make(account).stripe_customer_id)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(got) == 8
    assert len(set(got)) == 1
    assert count(simulator) == 1
    assert count(simulator, "test_helpers.test_clock") == (1 if on_a_clock else 0)
