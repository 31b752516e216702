"""Leaving: canceled in two clicks with or without a reason, the money taken back, a contract withdrawn from."""

import re
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse

from billing import access, clock, effects, entitlements
from billing.leaving import refund_window, withdrawals
from billing.models import Alert, Departure, Effect, Payment, Subscription, Withdrawal
from tests import factories
from tests.accounts.conftest import acting_for
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


@pytest.fixture
def alice_at_work(alice, account):
    return acting_for(account, alice)


def text(response):
    words = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", words)


def refunds_of(shop, account):
    return [charge["amount_refunded"] for charge in at_stripe(shop, account, "charge")]


def test_i_cancel_in_two_clicks_and_say_why(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    assert "Tell us why (optional)" in text(alice_at_work.get("/billing/cancel/"))

    page = alice_at_work.post(
        "/billing/cancel/", {"feedback": "too_expensive", "comment": "for a\r\nhobby"}, follow=True
    )

    assert "Your plan is canceled" in text(page)
    [at_the_other_end] = at_stripe(kaboot, account, "subscription")
    assert at_the_other_end["cancel_at_period_end"] is True
    assert at_the_other_end["cancellation_details"]["feedback"] == "too_expensive"
    assert at_the_other_end["cancellation_details"]["comment"] == "for a hobby"
    departure = Departure.objects.get()
    assert (departure.account, departure.plan_key, departure.user) == (account, "pro", alice)


def test_no_reason_need_be_given(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, MONTHLY)

    alice_at_work.post("/billing/cancel/")

    assert Subscription.objects.get().is_canceling
    assert Departure.objects.get().feedback == ""


def test_a_reason_of_ones_own_making_is_refused_and_nothing_is_canceled(
    kaboot, alice_at_work, account, alice
):
    buy(kaboot, account, alice, MONTHLY)

    page = alice_at_work.post("/billing/cancel/", {"feedback": "because"})

    assert page.status_code == 422
    assert not Subscription.objects.get().is_canceling
    assert not Departure.objects.exists()


def test_within_seven_days_i_take_my_money_back_and_the_plan_ends_with_it(
    kaboot, alice_at_work, account, alice
):
    buy(kaboot, account, alice, MONTHLY)
    let_pass(account, clock.now(account) + timedelta(days=6, hours=23))
    assert "You get back $5.00" in text(alice_at_work.get("/billing/money-back/"))

    page = alice_at_work.post("/billing/money-back/", follow=True)

    assert "$5.00 is on its way back to your card, and the plan is over" in text(page)
    assert refunds_of(kaboot, account) == [500]
    assert [sub["status"] for sub in at_stripe(kaboot, account, "subscription")] == ["canceled"]
    assert entitlements.of(account, now=clock.now(account)).level == access.Level.FREE


def test_what_stripe_refuses_to_give_back_is_said_as_it_is(
    kaboot, alice_at_work, account, alice, stripe_fails
):
    buy(kaboot, account, alice, MONTHLY)
    stripe_fails(method="POST", path="/v1/refunds", status=400)

    page = alice_at_work.post("/billing/money-back/", follow=True)

    assert "Stripe would not give the money back, so your plan goes on" in text(page)
    assert "Write to help@kaboot.example" in text(page)
    assert refunds_of(kaboot, account) == [0]
    assert [sub["status"] for sub in at_stripe(kaboot, account, "subscription")] == ["active"]


def test_after_seven_days_there_is_nothing_to_take_back(kaboot, alice_at_work, account, alice):
    assert "All of it back within 7 days" in text(alice_at_work.get("/pricing/"))
    buy(kaboot, account, alice, MONTHLY)
    let_pass(account, clock.now(account) + timedelta(days=7))

    page = alice_at_work.post("/billing/money-back/")

    assert page.status_code == 404
    assert "There is no payment to take back" in text(page)
    assert "All of it back within" not in text(alice_at_work.get("/pricing/"))
    assert refunds_of(kaboot, account) == [0]


def test_the_second_purchase_has_no_money_back(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    alice_at_work.post("/billing/money-back/")
    assert "All of it back within" not in text(alice_at_work.get("/pricing/"))
    buy(kaboot, account, alice, MONTHLY)

    assert "You had your money back $5.00 went back" in text(alice_at_work.get("/billing/money-back/"))
    assert "went back to your card on" in text(alice_at_work.post("/billing/money-back/", follow=True))
    assert sorted(refunds_of(kaboot, account)) == [0, 500]
    assert Subscription.objects.live().filter(account=account).exists()


def test_one_person_has_it_once_whatever_account_they_open_next(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    alice_at_work.post("/billing/money-back/")
    alias = factories.person(email="Alice+again@example.com", name="Also Alice")
    other = factories.organization(owner=alias, name="Another")
    buy(kaboot, other, alias, MONTHLY)

    assert acting_for(other, alias).post("/billing/money-back/").status_code == 404
    assert refunds_of(kaboot, other) == [0]


def test_money_back_from_two_tabs_is_given_once(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, MONTHLY)

    first = alice_at_work.post("/billing/money-back/", follow=True)
    second = alice_at_work.post("/billing/money-back/", follow=True)

    assert "$5.00 is on its way back" in text(first)
    day = f"{clock.now(account):%-d %B %Y}"
    assert f"$5.00 went back to your card on {day}, once. Banks take 5 to 10 days" in text(second)
    assert refunds_of(kaboot, account) == [500]


@pytest.mark.postgres
def test_money_back_pressed_in_two_tabs_at_the_same_moment_is_given_once(kaboot, account, alice):
    buy(kaboot, account, alice, MONTHLY)
    both, outcomes = Barrier(2), []

    def press():
        both.wait(10)
        try:
            outcomes.append(refund_window.take_back(account=account, by=alice).amount)
        except (refund_window.Closed, refund_window.Busy) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert outcomes.count(500) == 1
    assert refunds_of(kaboot, account) == [500]


def test_a_crash_after_the_refund_still_ends_the_plan(kaboot, account, alice, monkeypatch):
    buy(kaboot, account, alice, MONTHLY)
    with monkeypatch.context() as crash:
        crash.setattr(effects, "once", _killed)
        with pytest.raises(RuntimeError):
            refund_window.take_back(account=account, by=alice)
    assert refunds_of(kaboot, account) == [500]

    from billing.lifecycle import subscriptions

    subscriptions.sync(account=account, reason="the letter about the refund")

    assert not Subscription.objects.live().exists()
    assert Payment.objects.get().amount_refunded == 500


def _killed(**_):
    raise RuntimeError("the process was killed here")


def test_members_and_strangers_cannot_take_money_back(kaboot, account, alice, bob, as_charlie):
    buy(kaboot, account, alice, MONTHLY)

    assert acting_for(account, bob).post("/billing/money-back/").status_code == 403
    assert as_charlie.post("/billing/money-back/").status_code == 404  # of an account of their own
    assert Client().post("/billing/money-back/").status_code == 302
    assert refunds_of(kaboot, account) == [0]


def test_when_stripe_is_away_nobody_is_told_that_the_money_is_coming(
    kaboot, alice_at_work, account, alice, stripe_fails
):
    buy(kaboot, account, alice, MONTHLY)
    stripe_fails(times=99)

    page = alice_at_work.post("/billing/money-back/", follow=True)

    assert "not certain what was done" in text(page)
    assert Subscription.objects.live().exists()


DECLARATION = {"name": "Erika Muster", "email": "erika@example.com", "contract": "Pro, invoice 4711"}


def test_anybody_withdraws_without_logging_in_and_has_it_in_writing_at_once(kaboot, client):
    assert "Withdraw from contract" in text(client.get("/pricing/"))

    page = client.post("/withdraw/", DECLARATION, follow=True)

    withdrawal = Withdrawal.objects.get()
    assert withdrawal.reference in text(page)
    effects.deliver_owed(now=clock.wall())
    letter = next(sent for sent in mail.outbox if sent.to == ["erika@example.com"])
    for said in ("Erika Muster", "Pro, invoice 4711", "I withdraw from this contract", withdrawal.reference):
        assert said in letter.body
    assert withdrawal.received_at.strftime("%H:%M:%S") in letter.body
    assert Alert.objects.get(kind="withdrawal").account is None


def test_the_answer_is_the_same_whether_the_address_is_a_customers_or_not(kaboot, alice, account):
    known = Client().post("/withdraw/", {**DECLARATION, "email": alice.email}, follow=True)
    unknown = Client().post("/withdraw/", DECLARATION, follow=True)

    without_reference = [re.sub(r"[A-Z0-9]{10}", "…", text(page)) for page in (known, unknown)]
    assert without_reference[0] == without_reference[1]
    assert set(Withdrawal.objects.values_list("account", flat=True)) == {None}


@pytest.mark.parametrize(
    "typed", [{"name": ""}, {"email": "not an address"}, {"email": "a@b.example\nBcc: all@example.com"}]
)
def test_a_declaration_that_cannot_be_answered_is_asked_for_again(kaboot, client, typed):
    page = client.post("/withdraw/", {**DECLARATION, **typed})

    assert page.status_code == 422
    assert not Withdrawal.objects.exists()


def test_nobody_fills_the_queue_from_one_address(kaboot, client):
    answers = [client.post("/withdraw/", DECLARATION).status_code for _ in range(12)]

    assert answers == [302] * 10 + [422] * 2
    assert Withdrawal.objects.count() == 10


def test_within_the_days_a_customer_is_shown_the_way_that_settles_it_at_once(
    kaboot, alice_at_work, account, alice
):
    buy(kaboot, account, alice, MONTHLY)

    assert "you get $5.00 back and the plan ends" in text(alice_at_work.get("/withdraw/"))


def decide(client, withdrawal, **typed):
    return client.post(reverse("admin:billing_withdrawal_change", args=[withdrawal.pk]), typed)


def test_staff_settle_a_declaration_once_and_the_customer_hears_of_it(kaboot, client, as_dana):
    client.post("/withdraw/", DECLARATION)
    withdrawal = Withdrawal.objects.get()

    first = decide(as_dana, withdrawal, decision="settle", note="Refunded in full.")
    second = decide(as_dana, withdrawal, decision="decline", note="No.")
    effects.deliver_owed(now=clock.wall())

    assert (first.status_code, second.status_code) == (302, 403)
    withdrawal.refresh_from_db()
    assert (withdrawal.state, withdrawal.note) == ("settled", "Refunded in full.")
    assert sum("has been carried out" in sent.body for sent in mail.outbox) == 1
    with pytest.raises(withdrawals.AlreadyDecided):
        withdrawals.decide(withdrawal=withdrawal, is_granted=False, note="", now=clock.wall())
    assert Effect.objects.filter(key__startswith="withdrawal_decided").count() == 1


def test_who_is_declined_is_told_why(kaboot, client, as_dana):
    client.post("/withdraw/", DECLARATION)
    withdrawal = Withdrawal.objects.get()

    without_words = decide(as_dana, withdrawal, decision="decline", note="")
    decide(as_dana, withdrawal, decision="decline", note="The contract is two years old.")
    effects.deliver_owed(now=clock.wall())

    assert "Say why" in text(without_words)
    assert any("two years old" in sent.body for sent in mail.outbox)


def test_reasons_for_leaving_are_on_the_staff_pages(kaboot, alice_at_work, account, alice, as_dana):
    buy(kaboot, account, alice, MONTHLY)
    alice_at_work.post("/billing/cancel/", {"feedback": "unused", "comment": "holidays"})

    page = text(as_dana.get(reverse("admin:billing_departure_changelist")))

    assert "I do not use it enough" in page
    assert "holidays" in page
