"""What customers are told about money and plans: every fact once, to those who pay, in the account's own time."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Notification
from accounts.notifications import outbox
from billing import clock
from billing.lifecycle import customers, subscriptions
from billing.lifecycle.projection import PAUSED_FROM
from billing.messages import reminders
from billing.models import Customer, Payment, Subscription
from billing.stripe import gateway
from tests.accounts.conftest import acting_for
from tests.billing import purchases
from tests.billing.shopping import DECLINED_LATER, VISA, buy, change_card, let_pass

pytestmark = pytest.mark.django_db(transaction=True)

HOURS = timedelta(hours=2)  # a renewal is invoiced at once and charged an hour later


@pytest.fixture
def kaboot(simulator, settings):
    """Five dollars a month or fifty a year, paid at once, one day of payment grace."""
    return _selling("kaboot", simulator, settings)


@pytest.fixture
def protocol(simulator, settings):
    """Seven days of trial."""
    return _selling("protocol", simulator, settings)


def _selling(catalog, simulator, settings):
    from django.core.management import call_command

    settings.BILLING_CATALOG = catalog
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


def told(account) -> list[str]:
    """The kinds told to this account so far, in their order."""
    found = Notification.objects.filter(account=account).order_by("pk")
    return list(found.values_list("kind", flat=True))


def news(account, act) -> list[str]:
    """What was told by an act, and by looking twice more after it: once each."""
    before = len(told(account))
    act()
    sync(account)
    sync(account)
    return told(account)[before:]


def latest(account, kind) -> Notification:
    return Notification.objects.filter(account=account, kind=kind).latest("pk")


def sync(account) -> None:
    assert subscriptions.sync(account=account, reason="test")


def change_at_stripe(subscription: Subscription, **params) -> None:
    """Behind our back: the portal, or staff in the Dashboard."""
    path = f"/v1/subscriptions/{subscription.stripe_subscription_id}"
    gateway.post(path, params, idempotency_key=f"behind:{timezone.now().timestamp()}")


def test_who_buys_gets_the_plan_and_a_receipt_by_mail(kaboot, account, alice, bob):
    assert news(account, lambda: buy(kaboot, account, alice, "kaboot_pro_month")) == [
        "plan_started",
        "receipt",
    ]

    payment = Payment.objects.get()
    outbox.deliver_due(now=timezone.now())
    receipt = next(letter for letter in mail.outbox if letter.subject == "Receipt: $5.00 for Pro")
    assert receipt.to == ["alice@example.com"]
    assert payment.number in receipt.body
    assert payment.hosted_invoice_url in receipt.body
    assert "Visa ending in 4242" in receipt.body
    assert latest(account, "receipt").context["amount"] == 500
    assert not bob.inbox.exists()


def test_a_month_on_the_charge_is_announced_and_then_received(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end

    assert news(account, lambda: let_pass(account, end - timedelta(days=4))) == []
    assert news(account, lambda: let_pass(account, end - timedelta(days=3))) == ["upcoming_charge"]
    assert latest(account, "upcoming_charge").subject.startswith("$5.00 for Pro will be charged on ")
    assert news(account, lambda: let_pass(account, end + HOURS)) == ["receipt"]


def test_a_charge_near_midnight_has_one_day_in_the_notice_the_receipt_and_the_list(kaboot, account, alice):
    """Stripe charges an hour after the period's end, which is the next day then."""
    customers.row(account)
    late = (clock.now(account) + timedelta(days=1)).replace(hour=23, minute=30, second=0, microsecond=0)
    let_pass(account, late)
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    let_pass(account, end - timedelta(days=2))
    let_pass(account, end + HOURS)

    renewal = Payment.objects.latest("created_at")
    assert renewal.paid_at.date() != end.date()
    day = f"{end:%-d %B %Y}"
    assert latest(account, "upcoming_charge").subject.endswith(f"will be charged on {day}")
    assert f"We received $5.00 for Alice & Co on {day}." in latest(account, "receipt").text
    assert f">{day}</time>" in acting_for(account, alice).get("/billing/").content.decode()


def test_what_is_paid_days_after_its_invoice_has_the_day_on_which_it_was_paid(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    change_card(kaboot, account, DECLINED_LATER)
    let_pass(account, end + timedelta(days=2))
    change_card(kaboot, account, VISA)
    [unpaid] = Payment.objects.filter(status="open")

    gateway.post(f"/v1/invoices/{unpaid.stripe_invoice_id}/pay", idempotency_key="pay-now")
    sync(account)

    unpaid.refresh_from_db()
    assert unpaid.paid_at - unpaid.created_at > timedelta(days=1)
    assert f"for Alice & Co on {unpaid.paid_at:%-d %B %Y}." in latest(account, "receipt").text


def test_a_yearly_plan_is_announced_a_month_ahead_once(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_year").current_period_end

    assert news(account, lambda: let_pass(account, end - timedelta(days=31))) == []
    assert news(account, lambda: let_pass(account, end - timedelta(days=29))) == ["yearly_renewal"]
    assert news(account, lambda: let_pass(account, end - timedelta(days=1))) == []
    words = latest(account, "yearly_renewal")
    assert f"renews on {end:%-d %B %Y} for $50.00, charged to Visa ending in 4242" in words.text


def test_the_clock_alone_announces_a_charge_without_any_letter_from_stripe(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    Customer.objects.filter(account=account).update(clock_now=end - timedelta(days=2))

    assert reminders.sweep(now=timezone.now()) == 1
    assert reminders.sweep(now=timezone.now()) == 1

    assert told(account).count("upcoming_charge") == 1


def test_each_refused_charge_is_told_with_the_next_try_and_the_day_access_ends(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")
    end = subscription.current_period_end
    let_pass(account, end - timedelta(days=1))
    change_card(kaboot, account, DECLINED_LATER)

    assert news(account, lambda: let_pass(account, end + HOURS)) == ["payment_failed"]
    words = latest(account, "payment_failed")
    subscription.refresh_from_db()
    grace_ends = subscription.first_failed_at + timedelta(days=1)
    assert f"Pro stays on until {grace_ends:%-d %B %Y, %H:%M} UTC" in words.text
    assert f"tried again on {subscription.next_payment_attempt_at:%-d %B %Y}" in words.text
    assert subscription.open_invoice_url in words.text

    assert news(account, lambda: let_pass(account, end + timedelta(days=4))) == ["payment_failed"]
    assert "Pro is off until it is paid." in latest(account, "payment_failed").text

    tries = Payment.objects.get(status="open").attempt_count
    for days in (6, 8, 10, 12):
        let_pass(account, end + timedelta(days=days))
    still_tried = Payment.objects.latest("created_at").attempt_count - tries
    assert still_tried > 0
    assert told(account).count("payment_failed") == 2 + still_tried

    change_card(kaboot, account, VISA)
    [unpaid] = Payment.objects.filter(status="open")
    pay = f"/v1/invoices/{unpaid.stripe_invoice_id}/pay"
    assert news(account, lambda: gateway.post(pay, idempotency_key="pay-now")) == ["receipt"]


def test_a_plan_lost_for_want_of_payment_says_so(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    change_card(kaboot, account, DECLINED_LATER)

    let_pass(account, end + timedelta(days=30))
    sync(account)

    assert told(account)[-1] == "ended"
    assert "because a payment was missing. From now on Free applies" in latest(account, "ended").text


def test_a_plan_lost_for_want_of_payment_names_the_open_invoice_and_leads_to_it(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    change_card(kaboot, account, DECLINED_LATER)

    let_pass(account, end + timedelta(days=30))
    sync(account)

    [owed] = Payment.objects.filter(account=account, status="open")
    words = latest(account, "ended").text
    assert f"Invoice {owed.number} over $5.00 is open. Paying settles the debt" in words
    assert f"Pay it: {owed.hosted_invoice_url}" in words
    gateway.post(f"/v1/invoices/{owed.stripe_invoice_id}/void", idempotency_key="void")


def test_a_plan_that_ends_as_wanted_names_no_invoice(kaboot, account, alice):
    bought = buy(kaboot, account, alice, "kaboot_pro_month")
    subscriptions.cancel(account=account)

    let_pass(account, bought.current_period_end + timedelta(hours=2))
    sync(account)

    assert "is open" not in latest(account, "ended").text


def test_a_bank_that_wants_its_customer_is_told_with_the_page_to_confirm_on(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")
    _pay_from_now_on_with(account, "pm_card_authenticationRequired")

    said = news(account, lambda: let_pass(account, subscription.current_period_end + HOURS))

    assert "action_required" in said
    assert "payment_failed" not in said
    subscription.refresh_from_db()
    words = latest(account, "action_required").text
    assert f"Confirm it here: {subscription.open_invoice_url}" in words

    [asked] = Payment.objects.filter(account=account, status="open")
    void = f"/v1/invoices/{asked.stripe_invoice_id}/void"
    gateway.post(void, idempotency_key="void")
    sync(account)
    assert latest(account, "action_required").overtaken_at is not None


def test_canceling_and_taking_it_back_as_often_as_one_likes(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")
    end = subscription.current_period_end

    for round in range(2):
        let_pass(account, clock.now(account) + timedelta(hours=1 + round))
        assert news(account, lambda: subscriptions.cancel(account=account)) == ["canceled"]
        assert f"It runs until {end:%-d %B %Y}" in latest(account, "canceled").text
        assert news(account, lambda: subscriptions.resume(account=account)) == ["resumed"]
    subscriptions.cancel(account=account)

    assert news(account, lambda: let_pass(account, end + HOURS)) == ["ended"]
    assert "because a payment" not in latest(account, "ended").text


def test_a_trial_is_told_at_its_start_before_its_end_and_when_it_became_a_plan(protocol, account, alice):
    mine = alice.personal_account
    assert news(mine, lambda: buy(protocol, mine, alice, "protocol_pro_month")) == ["trial_started"]
    ends = Subscription.objects.get(account=mine).trial_end

    assert news(mine, lambda: let_pass(mine, ends - timedelta(days=4))) == []
    assert news(mine, lambda: let_pass(mine, ends - timedelta(days=3))) == ["trial_ending"]
    assert "$9.99 is charged then to Visa ending in 4242" in latest(mine, "trial_ending").text
    assert news(mine, lambda: let_pass(mine, ends + HOURS)) == ["trial_converted", "receipt"]


def test_a_trial_that_cannot_be_charged_ends_with_one_message(protocol, account, alice):
    mine = alice.personal_account
    buy(protocol, mine, alice, "protocol_pro_month")
    ends = Subscription.objects.get(account=mine).trial_end
    change_card(protocol, mine, DECLINED_LATER)

    assert news(mine, lambda: let_pass(mine, ends + HOURS)) == ["trial_failed"]
    assert "the first payment did not go through. The plan is off" in latest(mine, "trial_failed").text
    assert news(mine, lambda: let_pass(mine, ends + timedelta(days=4))) == ["payment_failed"]


def test_a_canceled_trial_is_said_to_cost_nothing(protocol, account, alice):
    mine = alice.personal_account
    buy(protocol, mine, alice, "protocol_pro_month")
    ends = Subscription.objects.get(account=mine).trial_end
    subscriptions.cancel(account=mine)

    assert news(mine, lambda: let_pass(mine, ends - timedelta(days=2))) == ["trial_ending"]
    assert "You canceled, so nothing is charged." in latest(mine, "trial_ending").text


def test_money_given_back_in_two_parts_is_told_twice(kaboot, account, alice):
    buy(kaboot, account, alice, "kaboot_pro_month")
    let_pass(account, clock.now(account) + timedelta(days=8))
    intent = Payment.objects.get().stripe_payment_intent_id

    def give_back(amount):
        params = {"payment_intent": intent, "amount": amount}
        return lambda: gateway.post("/v1/refunds", params, idempotency_key=f"staff:{amount}")

    assert news(account, give_back(200)) == ["refunded"]
    assert news(account, give_back(300)) == ["refunded"]
    words = latest(account, "refunded")
    assert words.subject == "$3.00 is on its way back to you"
    assert "all that was paid on it" in words.text


def test_seats_and_plans_changed_at_stripe_are_told(shop, account, alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", 2)
    item = subscription.items.get().stripe_item_id

    said = news(account, lambda: change_at_stripe(subscription, items=[{"id": item, "quantity": 3}]))

    assert said[:1] == ["seats_changed"]
    assert latest(account, "seats_changed").subject == "3 seats instead of 2"


def test_a_pause_made_at_stripe_and_its_end_are_told(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")

    paused = {"pause_collection": {"behavior": "void"}}
    assert news(account, lambda: change_at_stripe(subscription, **paused)) == ["paused"]
    assert news(account, lambda: change_at_stripe(subscription, pause_collection="")) == ["unpaused"]


def test_a_history_that_is_brought_in_is_no_news(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    let_pass(account, end + timedelta(days=20))
    for table in (Notification, Payment, Subscription):
        table.objects.filter(account=account).delete()
    Customer.objects.filter(account=account).update(synced_at=None)

    sync(account)

    assert Payment.objects.filter(account=account).count() == 2
    assert told(account) == []


def test_a_renewal_seen_late_because_we_were_away_is_told_all_the_same(kaboot, account, alice):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    at_stripe = Customer.objects.get(account=account)
    let_pass(account, end + timedelta(days=10))
    Notification.objects.filter(account=account).delete()
    Payment.objects.filter(account=account).latest("created_at").delete()
    Customer.objects.filter(account=account).update(synced_at=at_stripe.synced_at)

    sync(account)

    assert told(account) == ["receipt"]


def test_letters_in_any_order_and_twice_tell_everything_once(kaboot, account, alice, settle):
    end = buy(kaboot, account, alice, "kaboot_pro_month").current_period_end
    let_pass(account, end + HOURS)

    def doubled_and_backwards(letters):
        letters[:] = [*letters, *letters][::-1]

    settle(shuffle=doubled_and_backwards)

    assert sorted(told(account)) == ["plan_started", "receipt", "receipt"]


def test_a_dispute_is_told_when_it_opens_and_when_it_is_over(kaboot, account, alice, settle):
    buy(kaboot, account, alice, "kaboot_pro_month")
    _pay_from_now_on_with(account, "pm_card_createDispute")
    settle()
    end = Subscription.objects.get(account=account).current_period_end
    let_pass(account, end + HOURS)

    settle()

    assert told(account).count("dispute_opened") == 1
    [dispute] = gateway.get("/v1/disputes")["data"]
    gateway.post(
        f"/v1/disputes/{dispute['id']}",
        {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True},
        idempotency_key="evidence",
    )
    settle()
    assert told(account).count("dispute_won") == 1


def test_who_is_deleted_at_stripe_is_not_told_that_a_lost_dispute_was_won(kaboot, account, alice, settle):
    buy(kaboot, account, alice, "kaboot_pro_month")
    _pay_from_now_on_with(account, "pm_card_createDispute")
    settle()
    let_pass(account, Subscription.objects.get(account=account).current_period_end + HOURS)
    settle()
    [dispute] = gateway.get("/v1/disputes")["data"]
    gateway.post(f"/v1/disputes/{dispute['id']}/close", {}, idempotency_key="close")
    settle()
    customer = Customer.objects.get(account=account)
    assert customer.dispute_state == "lost"

    gateway.delete(f"/v1/customers/{customer.stripe_customer_id}")
    settle()

    customer.refresh_from_db()
    assert customer.stripe_customer_id is None and customer.dispute_state == "lost"
    assert "dispute_won" not in told(account)


def test_what_one_account_is_told_is_nobody_elses_business(kaboot, account, alice, charlie):
    buy(kaboot, account, alice, "kaboot_pro_month")
    outbox.deliver_due(now=timezone.now())

    assert {address for letter in mail.outbox for address in letter.to} == {"alice@example.com"}
    assert not charlie.inbox.exists()


def _pay_from_now_on_with(account, token: str) -> None:
    customer = Customer.objects.get(account=account).stripe_customer_id
    method = gateway.post(
        f"/v1/payment_methods/{token}/attach", {"customer": customer}, idempotency_key=f"attach:{token}"
    )
    for subscription in Subscription.objects.live().filter(account=account):
        change_at_stripe(subscription, default_payment_method=method["id"])


def test_a_pause_says_from_when_until_when_and_that_the_plan_is_off(kaboot, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")
    end = subscription.current_period_end
    as_our_page_does = {
        "pause_collection": {"behavior": "void", "resumes_at": int((end + timedelta(days=30)).timestamp())},
        "metadata": {PAUSED_FROM: str(int(end.timestamp()))},
    }

    assert news(account, lambda: change_at_stripe(subscription, **as_our_page_does)) == ["paused"]
    words = latest(account, "paused")
    assert words.subject == f"Pro is paused from {end:%-d %B %Y} on"
    assert f"until {end + timedelta(days=30):%-d %B %Y}, when it goes on by itself" in words.text
    assert "nothing is charged and the plan is off" in words.text
    assert news(account, lambda: let_pass(account, end - timedelta(days=1))) == []  # no charge is announced


def test_of_two_plans_bought_at_once_the_one_that_stays_is_told_and_the_money_back(kaboot, account):
    for _ in range(2):
        purchases.buy(account, "kaboot_pro_month")

    assert sorted(news(account, lambda: sync(account))) == ["plan_started", "receipt", "receipt", "refunded"]
    assert Subscription.objects.live().filter(account=account).count() == 1
