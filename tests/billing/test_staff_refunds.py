"""Staff give money back: in part or all of it, once, with a reason that stays; and forgive a dispute that was lost."""

import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.urls import reverse

from billing import access, clock, entitlements
from billing.leaving import forgiving
from billing.lifecycle import checkout
from billing.models import Customer, Effect, Payment, Subscription, WebhookEvent
from billing.stripe import inbox
from tests import factories
from tests.accounts.conftest import acting_for, log_in
from tests.billing.shopping import at_stripe, buy, go_to_the_till, let_pass, pay

pytestmark = pytest.mark.django_db(transaction=True)

CARD_THAT_IS_DISPUTED = "4000000000000259"


@pytest.fixture
def kaboot(simulator, settings):
    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


def text(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def give_back(client, payment, amount, *, reason="a bad day", nonce=None):
    return client.post(
        reverse("admin:billing_payment_refund", args=[payment.pk]),
        {"amount": amount, "reason": reason, "nonce": str(nonce or uuid.uuid4())},
        follow=True,
    )


def given_back(shop, account):
    return sum(charge["amount_refunded"] for charge in at_stripe(shop, account, "charge"))


def test_a_part_is_given_back_and_the_plan_goes_on(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")
    payment = Payment.objects.get()
    assert "Give back…" in text(as_dana.get(reverse("admin:billing_payment_change", args=[payment.pk])))

    page = give_back(as_dana, payment, "1.50")

    assert "$1.50 is on its way back" in text(page)
    assert given_back(kaboot, account) == 150
    payment.refresh_from_db()
    assert payment.amount_refunded == 150
    assert Subscription.objects.live().exists()
    assert Effect.objects.get(kind="staff_refund").detail["reason"] == "a bad day"
    assert "$1.50 refunded" in text(acting_for(account, alice).get("/billing/"))


def test_a_browser_takes_the_sum_that_the_page_fills_in(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")

    page = as_dana.get(reverse("admin:billing_payment_refund", args=[Payment.objects.get().pk]))

    field = re.search(r"<input[^>]*name=\"amount\"[^>]*>", page.content.decode())[0]
    says = dict(re.findall(r"(\w+)=\"([^\"]*)\"", field))
    least, step, filled_in = (Decimal(says[name]) for name in ("min", "step", "value"))
    # HTML counts the steps from the least sum: anything between two of them cannot be sent.
    assert least > 0
    assert (filled_in - least) % step == 0


def test_all_of_the_first_payment_in_its_days_ends_the_plan(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")

    give_back(as_dana, Payment.objects.get(), "5.00")

    assert given_back(kaboot, account) == 500
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FREE


def test_a_payment_of_two_years_ago_is_given_back_and_both_pages_say_so(kaboot, account, alice, as_dana):
    bought = buy(kaboot, account, alice, "kaboot_pro_month")
    first = Payment.objects.get()
    let_pass(account, bought.current_period_end + timedelta(days=700))

    page = give_back(as_dana, first, "1.50")

    assert "$1.50 is on its way back" in text(page)
    first.refresh_from_db()
    assert first.amount_refunded == 150
    assert give_back(as_dana, first, "4.00").status_code == 422


def test_a_button_pressed_twice_gives_back_once(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")
    nonce = uuid.uuid4()

    for _ in range(2):
        give_back(as_dana, Payment.objects.get(), "1.00", nonce=nonce)

    assert given_back(kaboot, account) == 100
    assert Effect.objects.filter(kind="staff_refund").count() == 1


@pytest.mark.parametrize("amount", ["0", "-1", "5.01", "0.005", "nan", "1e99", "", "five"])
def test_an_amount_that_cannot_be_given_back_is_refused_in_words(kaboot, account, alice, as_dana, amount):
    buy(kaboot, account, alice, "kaboot_pro_month")

    page = give_back(as_dana, Payment.objects.get(), amount)

    assert page.status_code == 422
    assert given_back(kaboot, account) == 0


def test_a_reason_is_asked_for(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")

    assert give_back(as_dana, Payment.objects.get(), "1.00", reason="").status_code == 422
    assert given_back(kaboot, account) == 0


def test_what_was_given_back_before_cannot_be_given_back_again(kaboot, account, alice, as_dana):
    buy(kaboot, account, alice, "kaboot_pro_month")
    give_back(as_dana, Payment.objects.get(), "4.00")

    assert give_back(as_dana, Payment.objects.get(), "2.00").status_code == 422
    assert given_back(kaboot, account) == 400


def test_staff_without_the_right_and_customers_do_not_get_there(kaboot, account, alice, client):
    buy(kaboot, account, alice, "kaboot_pro_month")
    clerk = factories.person(email="erin@example.com", is_staff=True)
    log_in(client, clerk)

    assert give_back(client, Payment.objects.get(), "1.00").status_code == 403
    assert give_back(acting_for(account, alice), Payment.objects.get(), "1.00").status_code != 422
    assert given_back(kaboot, account) == 0


def test_who_asks_the_bank_for_the_money_is_not_offered_it_a_second_time(kaboot, account, alice, settle):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, CARD_THAT_IS_DISPUTED)
    settle()
    at_work = acting_for(account, alice)

    assert at_work.get("/billing/money-back/").status_code == 404
    page = text(at_work.post("/billing/money-back/", follow=True))

    assert "Stripe did not answer" not in page
    assert given_back(kaboot, account) == 0
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FULL


def test_a_dispute_whose_letters_were_lost_is_found_by_the_daily_comparison(kaboot, account, alice):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, CARD_THAT_IS_DISPUTED)
    call_command("reconcile_billing", verbosity=0)
    assert Customer.objects.get(account=account).dispute_state == "open"
    [dispute] = [found for charge in at_stripe(kaboot, account, "charge") for found in _disputes_of(charge)]
    _lose(dispute)

    call_command("reconcile_billing", verbosity=0)

    assert entitlements.of(account, now=clock.now(account)).is_blocked
    forgiving.forgive(account, by="dana", now=clock.wall())
    call_command("reconcile_billing", verbosity=0)
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FULL


def test_a_dispute_that_was_lost_is_forgiven_for_ever_and_the_next_one_counts_again(
    kaboot, account, alice, as_dana, settle
):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, CARD_THAT_IS_DISPUTED)
    checkout.complete(account=account, session_id=intent.stripe_session_id)
    settle()
    [dispute] = [found for charge in at_stripe(kaboot, account, "charge") for found in _disputes_of(charge)]
    _lose(dispute)
    settle()
    assert entitlements.of(account, now=clock.now(account)).is_blocked

    page = as_dana.post(
        reverse("admin:billing_customer_changelist"),
        {"action": "forgive_disputes", "_selected_action": [str(account.pk)]},
        follow=True,
    )

    assert "1 forgiven" in text(page)
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FULL
    for letter in WebhookEvent.objects.filter(type__startswith="charge.dispute."):
        inbox.replay(letter, now=clock.wall())
    settle()
    assert not entitlements.of(account, now=clock.now(account)).is_blocked


def test_a_payment_the_bank_took_back_says_so_to_the_customer_and_to_staff_and_is_not_given_back_again(
    kaboot, account, alice, as_dana, settle
):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, CARD_THAT_IS_DISPUTED)
    checkout.complete(account=account, session_id=intent.stripe_session_id)
    settle()
    payment = Payment.objects.get()
    at_work = acting_for(account, alice)
    its_page = reverse("admin:billing_payment_change", args=[payment.pk])
    assert "Disputed" in text(at_work.get("/billing/"))
    assert "Give back…" not in text(as_dana.get(its_page))
    assert "A bank asks for this payment back" in text(give_back(as_dana, payment, "5.00"))
    [dispute] = [found for charge in at_stripe(kaboot, account, "charge") for found in _disputes_of(charge)]

    _lose(dispute)
    settle()

    day = f"{clock.now(account):%-d %B %Y}"
    shown = text(at_work.get("/billing/"))
    assert f"Taken back by the bank on {day}" in shown
    assert " Paid " not in shown.partition("Receipt")[2]
    assert "Give back…" not in text(as_dana.get(its_page))
    listed = text(as_dana.get(reverse("admin:billing_payment_changelist")))
    assert f"Taken back by the bank on {day}" in listed
    assert f"The bank has taken this payment back on {day}" in text(give_back(as_dana, payment, "5.00"))
    # what Stripe is asked anew, by the daily comparison too, leaves it so, and forgiving it brings no money back
    as_dana.post(
        reverse("admin:billing_customer_changelist"),
        {"action": "forgive_disputes", "_selected_action": [str(account.pk)]},
    )
    call_command("reconcile_billing", verbosity=0)
    payment.refresh_from_db()
    assert (payment.dispute_state, payment.amount_taken_back) == ("lost", 500)
    assert at_work.get("/billing/money-back/").status_code == 404


def test_a_payment_whose_dispute_was_won_is_paid_and_may_be_given_back(
    kaboot, account, alice, as_dana, settle
):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, CARD_THAT_IS_DISPUTED)
    checkout.complete(account=account, session_id=intent.stripe_session_id)
    settle()
    [dispute] = [found for charge in at_stripe(kaboot, account, "charge") for found in _disputes_of(charge)]

    _answer(dispute, "winning_evidence")
    settle()

    assert Payment.objects.get().dispute_state == ""
    page = as_dana.get(reverse("admin:billing_payment_change", args=[Payment.objects.get().pk]))
    assert "Give back…" in text(page)


def _disputes_of(charge):
    from billing.stripe import gateway

    return gateway.get("/v1/disputes", {"charge": charge["id"]})["data"]


def _lose(dispute):
    _answer(dispute, "losing_evidence")


def _answer(dispute, evidence):
    from billing.stripe import gateway

    gateway.post(
        f"/v1/disputes/{dispute['id']}",
        {"evidence": {"uncategorized_text": evidence}, "submit": True},
        idempotency_key=evidence,
    )
