"""Our rows follow Stripe's: through renewals, failures, changes behind our back, lost letters and races."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from billing import access, clock, entitlements
from billing.lifecycle import lease, subscriptions
from billing.models import Alert, Customer, Effect, Payment, Subscription, SubscriptionItem
from billing.stripe import gateway, truth
from tests.billing.shopping import DECLINED_LATER, VISA, buy, change_card, let_pass

pytestmark = pytest.mark.django_db(transaction=True)

HOURS = timedelta(hours=2)  # a renewal is invoiced at once and charged an hour later


@pytest.fixture
def kaboot(simulator, settings):
    """The other business: five dollars a month, paid at once, one day of payment grace."""
    from django.core.management import call_command

    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


def prices() -> dict[str, str]:
    from billing import catalog

    return {
        price.interval: price.lookup_key
        for plan in catalog.current().for_sale()
        for price in plan.base_prices
    }


def level(account) -> access.Level:
    return entitlements.of(account, now=clock.now(account)).level


def snapshot() -> list:
    """All that sync writes, without the bookkeeping of when."""
    tables = [Subscription, SubscriptionItem, Payment]
    return [
        sorted(
            str(
                {
                    k: v
                    for k, v in row.items()
                    if k not in ("id", "subscription_id", "synced_at", "status_since")
                }
            )
            for row in table.objects.values()
        )
        for table in tables
    ]


def sync(account) -> bool:
    return subscriptions.sync(account=account, reason="test")


def test_an_account_that_is_not_at_stripe_is_synced_without_a_call(simulator, account, stripe_fails):
    stripe_fails(times=99)

    assert sync(account)

    row = Customer.objects.get()
    assert (row.sync_wanted, row.sync_served, row.lease_expires_at) == (1, 1, None)


def test_what_was_bought_is_here_with_its_payment_and_its_card(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])

    payment = Payment.objects.get()
    assert (payment.status, payment.amount_paid, payment.currency) == ("paid", 500, "usd")
    assert payment.stripe_subscription_id == subscription.stripe_subscription_id
    assert (payment.period_start, payment.period_end) == (
        subscription.current_period_start,
        subscription.current_period_end,
    )
    assert payment.hosted_invoice_url.startswith("http")
    assert payment.stripe_charge_id.startswith("ch_")
    assert subscription.first_paid_at == payment.paid_at
    assert subscription.next_charge_amount == 500
    assert level(account) == access.Level.FULL


def test_syncing_twice_changes_nothing_and_bumps_nothing(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])
    before, version = snapshot(), Customer.objects.get().access_version

    assert sync(account)
    assert sync(account)

    assert snapshot() == before
    assert Customer.objects.get().access_version == version


def test_a_month_passes_and_it_is_renewed(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    anchor, end = subscription.billing_cycle_anchor, subscription.current_period_end

    let_pass(account, end + HOURS)

    subscription.refresh_from_db()
    assert (subscription.status, subscription.current_period_start) == ("active", end)
    assert subscription.billing_cycle_anchor == anchor
    assert Payment.objects.filter(status="paid").count() == 2
    assert clock.now(account) == end + HOURS


def test_a_failed_renewal_starts_the_grace_once_and_paying_ends_it(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    end = subscription.current_period_end
    change_card(kaboot, account, DECLINED_LATER)

    let_pass(account, end + HOURS)
    subscription.refresh_from_db()
    failed = subscription.first_failed_at
    assert subscription.status == "past_due"
    assert end <= failed <= end + HOURS
    assert subscription.open_invoice_url.startswith("http")
    assert level(account) == access.Level.GRACE

    let_pass(account, end + timedelta(days=4))  # Stripe has tried again
    subscription.refresh_from_db()
    assert subscription.first_failed_at == failed
    assert level(account) == access.Level.FREE

    change_card(kaboot, account, VISA)
    [unpaid] = Payment.objects.filter(status="open")
    gateway.post(f"/v1/invoices/{unpaid.stripe_invoice_id}/pay", idempotency_key="pay-now")
    sync(account)
    subscription.refresh_from_db()
    assert (subscription.status, subscription.first_failed_at) == ("active", None)
    assert subscription.open_invoice_url == ""
    assert level(account) == access.Level.FULL


def test_a_failure_seen_late_counts_from_when_it_happened(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    end = subscription.current_period_end
    change_card(kaboot, account, DECLINED_LATER)
    move_clock_without_telling(account, end + timedelta(days=2))

    sync(account)

    subscription.refresh_from_db()
    assert end <= subscription.first_failed_at <= end + HOURS


def test_a_subscription_that_stripe_gave_up_on_is_over(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    change_card(kaboot, account, DECLINED_LATER)

    let_pass(account, subscription.current_period_end + timedelta(days=20))

    subscription.refresh_from_db()
    assert (subscription.status, subscription.is_live) == ("canceled", False)
    assert subscription.ended_at is not None
    assert level(account) == access.Level.FREE


def test_cancel_resume_cancel_then_the_period_ends(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    end = subscription.current_period_end

    subscriptions.cancel(account=account)
    subscription.refresh_from_db()
    assert subscription.cancel_at_period_end
    assert subscription.next_charge_amount is None

    subscriptions.resume(account=account)
    subscription.refresh_from_db()
    assert not subscription.is_canceling

    subscriptions.cancel(account=account)
    subscription.refresh_from_db()
    assert subscription.cancel_at_period_end

    let_pass(account, end + HOURS)
    subscription.refresh_from_db()
    assert (subscription.status, subscription.is_live) == ("canceled", False)
    assert Payment.objects.count() == 1
    with pytest.raises(subscriptions.NothingToChange):
        subscriptions.resume(account=account)


def test_a_set_last_day_is_taken_back_too(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"cancel_at": int((subscription.current_period_end + timedelta(days=40)).timestamp())},
        idempotency_key="staff",
    )
    sync(account)
    subscription.refresh_from_db()
    assert subscription.is_canceling

    subscriptions.resume(account=account)

    subscription.refresh_from_db()
    assert (subscription.is_canceling, subscription.cancel_at) == (False, None)


def test_downgrading_at_once_ends_it_at_once(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])

    subscriptions.cancel_now(account=account)

    assert Subscription.objects.get().status == "canceled"
    assert level(account) == access.Level.FREE
    with pytest.raises(subscriptions.NothingToChange):
        subscriptions.cancel_now(account=account)


def test_who_has_no_plan_cannot_cancel_it(simulator, account):
    with pytest.raises(subscriptions.NothingToChange):
        subscriptions.cancel(account=account)
    assert Customer.objects.get().lease_expires_at is None


def test_while_another_change_is_made_a_person_is_told_to_wait(kaboot, account, alice, monkeypatch):
    buy(kaboot, account, alice, prices()["month"])
    monkeypatch.setattr(subscriptions, "PATIENCE_SECONDS", 0.1)

    with lease.hold(account=account, purpose="other"), pytest.raises(subscriptions.Busy):
        subscriptions.cancel(account=account)


def test_a_cancellation_stands_although_the_answer_after_it_got_lost(kaboot, account, alice, stripe_fails):
    buy(kaboot, account, alice, prices()["month"])
    stripe_fails(method="GET", path="/v1/*", status=500, times=99)

    subscriptions.cancel(account=account)

    assert not Subscription.objects.get().cancel_at_period_end
    row = Customer.objects.get()
    assert row.sync_wanted > row.sync_served
    stripe_fails.call_off()
    assert subscriptions.serve_owed() == 1
    assert Subscription.objects.get().cancel_at_period_end


def test_a_price_the_catalog_lost_keeps_its_plan_and_calls_staff(kaboot, account, alice):
    bought = buy(kaboot, account, alice, prices()["month"])
    plan_key = bought.plan_key
    product = bought.items.get().stripe_product_id
    other = gateway.post(
        "/v1/prices",
        {"product": product, "currency": "usd", "unit_amount": 300, "recurring": {"interval": "month"}},
        idempotency_key="by-hand",
    )
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"items": [{"id": bought.items.get().stripe_item_id, "price": other["id"]}]},
        idempotency_key="staff",
    )

    sync(account)

    bought.refresh_from_db()
    assert (bought.plan_key, bought.needs_review) == (plan_key, True)
    assert other["id"] in bought.review_reason
    assert level(account) == access.Level.FULL
    assert Alert.objects.get(kind="subscription_needs_review").account == account


def test_a_lookup_key_that_moved_on_leaves_old_customers_on_their_plan(kaboot, account, alice):
    bought = buy(kaboot, account, alice, prices()["month"])
    item = bought.items.get()
    gateway.post(
        "/v1/prices",
        {
            "product": item.stripe_product_id,
            "currency": "usd",
            "unit_amount": 900,
            "recurring": {"interval": "month"},
            "lookup_key": prices()["month"],
            "transfer_lookup_key": True,
        },
        idempotency_key="price-rise",
    )

    sync(account)

    bought.refresh_from_db()
    assert (bought.price_lookup_key, bought.needs_review) == (prices()["month"], False)


def test_a_refund_made_at_stripe_shows_in_the_payments(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])
    gateway.post(
        "/v1/refunds",
        {"payment_intent": Payment.objects.get().stripe_payment_intent_id, "amount": 200},
        idempotency_key="staff",
    )

    sync(account)

    assert Payment.objects.get().amount_refunded == 200


def test_an_old_open_invoice_that_was_paid_at_last_is_paid_here_too(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])
    change_card(kaboot, account, VISA)  # as the customer's default, which invoices by hand are charged to
    customer = Customer.objects.get().stripe_customer_id
    old = one_off_invoice(customer, 0)
    sync(account)
    assert Payment.objects.get(stripe_invoice_id=old).status == "open"
    for number in range(1, 22):
        gateway.post(
            f"/v1/invoices/{one_off_invoice(customer, number)}/void", idempotency_key=f"void:{number}"
        )
    gateway.post(f"/v1/invoices/{old}/pay", idempotency_key="at-last")

    sync(account)

    assert Payment.objects.get(stripe_invoice_id=old).status == "paid"


def test_when_stripe_does_not_answer_nothing_is_written_and_it_stays_wanted(
    kaboot, account, alice, stripe_fails
):
    subscription = buy(kaboot, account, alice, prices()["month"])
    gateway.delete(f"/v1/subscriptions/{subscription.stripe_subscription_id}")
    before = snapshot()
    stripe_fails(method="GET", path="/v1/charges", status=503, times=9)

    with pytest.raises(gateway.StripeUnavailable):
        sync(account)

    assert snapshot() == before
    row = Customer.objects.get()
    assert (row.lease_expires_at, row.sync_wanted - row.sync_served) == (None, 1)
    stripe_fails.call_off()
    assert subscriptions.serve_owed() == 1
    assert Subscription.objects.get().status == "canceled"


def test_a_request_that_comes_while_a_sync_runs_is_served_by_it(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    gate = Gate(kaboot, "GET", "/v1/charges")
    first = in_thread(lambda: sync(account))
    gate.wait_until_somebody_stands_there()
    gateway.delete(f"/v1/subscriptions/{subscription.stripe_subscription_id}")

    assert sync(account) is False  # somebody is at it, and will look again

    gate.open()
    first.join(30)
    assert Subscription.objects.get().status == "canceled"
    row = Customer.objects.get()
    assert (row.sync_served, row.lease_expires_at) == (row.sync_wanted, None)


@pytest.mark.postgres
def test_a_slow_sync_with_old_news_does_not_overwrite_a_quick_one(kaboot, account, alice):
    """A fetched "active" and stalls beyond its lease; Stripe cancels; B fetches and writes; A comes back
    last.
    """
    subscription = buy(kaboot, account, alice, prices()["month"])
    gate = Gate(kaboot, "GET", "/v1/charges")
    slow = in_thread(lambda: sync(account))
    gate.wait_until_somebody_stands_there()
    gateway.delete(f"/v1/subscriptions/{subscription.stripe_subscription_id}")
    row = Customer.objects.get()
    Customer.objects.update(lease_expires_at=row.created_at - timedelta(days=1))

    assert sync(account)
    assert Subscription.objects.get().status == "canceled"

    gate.open()
    slow.join(30)
    assert Subscription.objects.get().status == "canceled"
    assert mirrored_status(subscription) == "canceled"
    subscriptions.serve_owed()
    assert Subscription.objects.get().status == "canceled"
    assert mirrored_status(subscription) == "canceled"


@pytest.mark.postgres
def test_eight_syncs_at_once_while_stripe_changes_end_at_the_truth(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, prices()["month"])
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        barrier.wait(10)
        if number == 3:
            gateway.delete(f"/v1/subscriptions/{subscription.stripe_subscription_id}")
        sync(account)

    threads = [in_thread(lambda number=number: run(number)) for number in range(8)]
    for thread in threads:
        thread.join(60)

    row = Customer.objects.get()
    assert (row.sync_served, row.lease_expires_at) == (row.sync_wanted, None)
    assert Subscription.objects.get().status == "canceled"
    assert mirrored_status(subscription) == "canceled"
    assert not Effect.objects.filter(kind="refund").exists()


def test_a_renewal_that_stripe_never_made_is_told_to_staff_once(kaboot, account, alice):
    bought = buy(kaboot, account, alice, prices()["month"])
    ended = clock.now(account) - timedelta(days=4)
    with kaboot.transaction():
        stuck = kaboot.store.get("subscription", bought.stripe_subscription_id)
        stuck["items"]["data"][0]["current_period_end"] = int(ended.timestamp())
        kaboot.store.put("subscription", stuck)
    Subscription.objects.update(current_period_end=ended)

    assert subscriptions.ask_about_doubtful(now=clock.wall()) == 1
    subscriptions.ask_about_doubtful(now=clock.wall())

    assert level(account) == access.Level.FREE
    alert = Alert.objects.get(kind="access_unclear")
    assert (alert.account, alert.times_seen) == (account, 2)
    assert "no renewal" in alert.message


def test_while_stripe_is_away_staff_hear_of_an_unseen_renewal_all_the_same(
    kaboot, account, alice, stripe_fails
):
    buy(kaboot, account, alice, prices()["month"])
    Subscription.objects.update(current_period_end=clock.now(account) - timedelta(days=4))
    stripe_fails(times=99)

    subscriptions.ask_about_doubtful(now=clock.wall())

    assert Alert.objects.get(kind="access_unclear").account == account


def test_plans_that_run_as_they_should_are_not_asked_about(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])

    assert subscriptions.ask_about_doubtful(now=clock.wall()) == 0


def test_accounts_in_trouble_do_not_keep_the_others_from_their_plans(
    kaboot, account, alice, charlie, stripe_fails
):
    buy(kaboot, charlie.personal_account, charlie, prices()["month"])
    buy(kaboot, account, alice, prices()["month"])
    troubled = Customer.objects.get(account=charlie.personal_account)
    Customer.objects.update(sync_wanted=100)
    stripe_fails(method="GET", path=f"/v1/customers/{troubled.stripe_customer_id}", status=500, times=99)

    assert subscriptions.serve_owed(limit=1) == 1

    row = Customer.objects.get(account=account)
    assert row.sync_served == row.sync_wanted


def test_a_trial_whose_clock_is_moved_over_its_end_while_a_sync_asks_is_no_matter_for_staff(shop, alice):
    """What was read before the jump is not judged by the time after it."""
    account = alice.personal_account
    trial = buy(shop, account, alice, "hybrid_pro_month")
    customer = Customer.objects.get()
    later = trial.trial_end + timedelta(days=17)
    jumped = []

    def jump() -> None:
        if len(jumped) == 1:  # the subscription has been read, the rest has not
            gateway.post(
                f"/v1/test_helpers/test_clocks/{customer.test_clock_id}/advance",
                {"frozen_time": int(later.timestamp())},
                idempotency_key="over the trial's end",
            )
        jumped.append(clock.now(account))

    said = truth.fetch(customer, between=jump)
    assert [one["status"] for one in said.subscriptions] == ["trialing"]
    assert said.clock_now < trial.trial_end

    sync(account)
    assert Subscription.objects.get().status == "active"
    assert not Alert.objects.filter(kind="access_unclear").exists()


def test_a_clock_moved_while_a_sync_asked_is_not_turned_back(kaboot, account, alice):
    buy(kaboot, account, alice, prices()["month"])
    moved = clock.now(account) + timedelta(days=3)
    Customer.objects.filter(pk=account.pk).update(clock_now=moved)  # by somebody else, in between

    sync(account)

    assert clock.now(account) == moved


def one_off_invoice(customer: str, number: int) -> str:
    """Something sold by hand beside the subscription, waiting for payment."""
    draft = gateway.post(
        "/v1/invoices", {"customer": customer, "auto_advance": False}, idempotency_key=f"draft:{number}"
    )
    gateway.post(
        "/v1/invoiceitems",
        {"customer": customer, "invoice": draft["id"], "amount": 100, "currency": "usd"},
        idempotency_key=f"line:{number}",
    )
    gateway.post(f"/v1/invoices/{draft['id']}/finalize", idempotency_key=f"finalize:{number}")
    return draft["id"]


class Gate:
    """Holds back Stripe's answer to the first call of a kind; later calls of the kind pass."""

    def __init__(self, house, method: str, path: str) -> None:
        self._house, self._answer = house, house.handle
        self._waiting, self._opened = threading.Event(), threading.Event()
        self._where = (method, path)
        house.handle = self._handle

    def _handle(self, method, path, *rest):
        answer = self._answer(method, path, *rest)
        if (method, path) == self._where and not self._waiting.is_set():
            self._waiting.set()
            self._opened.wait(9)
        return answer

    def wait_until_somebody_stands_there(self) -> None:
        assert self._waiting.wait(20)

    def open(self) -> None:
        self._house.handle = self._answer
        self._opened.set()


def in_thread(act) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def mirrored_status(subscription: Subscription) -> str:
    from djstripe.models import Subscription as Mirrored

    return Mirrored.objects.get(id=subscription.stripe_subscription_id).stripe_data["status"]


def move_clock_without_telling(account, to) -> None:
    name = Customer.objects.get(account=account).test_clock_id
    gateway.post(
        f"/v1/test_helpers/test_clocks/{name}/advance",
        {"frozen_time": int(to.timestamp())},
        idempotency_key="x",
    )
