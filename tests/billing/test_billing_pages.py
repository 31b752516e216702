"""What a customer sees on the billing pages, and who may press which button."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from billing import clock, entitlements, grants, suspension
from billing.models import Customer, Payment, Subscription
from tests import factories
from tests.billing.shopping import DECLINED_LATER, VISA, buy, change_card, go_to_the_till, let_pass, pay

pytestmark = pytest.mark.django_db(transaction=True)


def text(response) -> str:
    """The words of a page, without its markup."""
    words = re.sub(r"<script.*?</script>|<[^>]+>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", words)


@pytest.fixture
def as_alice(as_alice, account):
    """Alice acting for her organization."""
    as_alice.post(reverse("accounts:switch"), {"account": str(account.pk)})
    return as_alice


@pytest.fixture
def as_bob(as_bob, account):
    as_bob.post(reverse("accounts:switch"), {"account": str(account.pk)})
    return as_bob


def test_the_upgrade_button_leads_to_stripes_page(shop, as_alice):
    answer = as_alice.post("/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "3"})

    assert answer.status_code == 303
    assert answer["Location"].startswith(shop.base_url)
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"price": "price_of_my_own"}, "not on sale"),
        ({"price": "hybrid_team_month", "quantity": "1"}, "seats"),
        ({"price": "hybrid_team_month", "quantity": "-3"}, "whole number"),
        ({"price": "hybrid_team_month", "quantity": "2.5"}, "whole number"),
        ({"price": "hybrid_team_month", "quantity": "9" * 30}, "whole number"),
        ({"price": "hybrid_team_month", "quantity": "²"}, "whole number"),
        ({"price": "hybrid_pro_month"}, "for a person"),
        ({}, "not on sale"),
    ],
)
def test_a_wish_that_cannot_be_met_is_answered_on_the_price_list(shop, as_alice, form, said):
    answer = as_alice.post("/billing/upgrade/", form, follow=True)

    assert answer.redirect_chain[-1][0] == "/pricing/"
    assert said in text(answer)


def test_upgrading_by_a_link_is_not_possible(shop, as_alice):
    assert as_alice.get("/billing/upgrade/").status_code == 405


def test_a_member_cannot_buy_cancel_or_see_money(shop, account, alice, as_alice, as_bob):
    buy(shop, account, alice, "hybrid_payg_tokens")

    assert (
        as_bob.post("/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2"}).status_code == 403
    )
    assert as_bob.post("/billing/cancel/").status_code == 403
    assert as_bob.post("/billing/portal/").status_code == 403
    page = text(as_bob.get("/billing/"))
    assert "Pay as you go" in page
    assert "Payments" not in page
    assert not Subscription.objects.get().cancel_at_period_end


def test_a_stranger_sees_their_own_account_only(shop, account, alice, as_charlie):
    buy(shop, account, alice, "hybrid_payg_tokens")

    page = as_charlie.get("/billing/")

    assert page.context["request"].account != account
    assert "Pay as you go" not in text(page).split("Billing", 1)[1].split("This period")[0]


def test_somebody_elses_checkout_is_not_found(shop, account, alice, as_charlie):
    intent = go_to_the_till(account, alice, "hybrid_payg_tokens")
    pay(shop, intent)

    assert as_charlie.get(f"/billing/upgraded/?session_id={intent.stripe_session_id}").status_code == 404
    assert as_charlie.get("/billing/upgraded/?session_id=cs_test_guess").status_code == 404
    assert as_charlie.get("/billing/upgraded/")["Location"] == "/billing/"


def test_the_success_page_says_so_only_once_it_is_true(shop, account, alice, as_alice, stripe_fails):
    intent = go_to_the_till(account, alice, "hybrid_payg_tokens")
    back = f"/billing/upgraded/?session_id={intent.stripe_session_id}"

    assert "The payment was not finished" in text(as_alice.get(back))

    pay(shop, intent)
    stripe_fails(method="GET", path="/v1/*", status=500, times=100)
    waiting = as_alice.get(back)
    assert "Waiting for Stripe to confirm" in text(waiting)
    assert 'http-equiv="refresh"' in waiting.content.decode()

    stripe_fails.call_off()
    assert "Pay as you go is yours" in text(as_alice.get(back))
    assert "Pay as you go is yours" in text(as_alice.get(back))  # and again: nothing is bought twice
    assert Subscription.objects.count() == 1


def test_the_success_page_stops_asking_and_says_what_happens_next(
    shop, account, alice, as_alice, stripe_fails
):
    intent = go_to_the_till(account, alice, "hybrid_payg_tokens")
    pay(shop, intent)
    stripe_fails(method="GET", path="/v1/*", status=500, times=100)

    patient = as_alice.get(f"/billing/upgraded/?session_id={intent.stripe_session_id}&asked=20")

    assert "Still waiting for Stripe" in text(patient)
    assert "do not pay a second time" in text(patient)
    assert 'http-equiv="refresh"' not in patient.content.decode()


def test_turning_back_at_the_till_changes_nothing_and_says_so(shop, as_alice):
    assert "Nothing changed" in text(as_alice.get("/billing/checkout-canceled/"))


def test_billing_shows_the_next_charge_its_date_and_the_card(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", 3)

    page = text(as_alice.get("/billing/"))

    assert "Team" in page
    assert "$57.00" in page
    assert f"{subscription.current_period_end:%-d %B %Y}" in page
    assert "Visa ending 4242" in page


def test_cancel_says_the_last_day_first_and_resume_takes_it_back(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")
    last_day = f"{subscription.current_period_end:%-d %B}"

    asked = text(as_alice.get("/billing/cancel/"))
    assert last_day in asked
    assert not Subscription.objects.get().cancel_at_period_end

    done = text(as_alice.post("/billing/cancel/", follow=True))
    assert f"Your plan ends on {last_day}" in done
    assert Subscription.objects.get().cancel_at_period_end

    kept = text(as_alice.post("/billing/resume/", follow=True))
    assert "Your plan goes on" in kept
    assert "Your plan ends on" not in kept
    assert not Subscription.objects.get().cancel_at_period_end


def test_pressing_cancel_twice_is_harmless(shop, account, alice, as_alice):
    buy(shop, account, alice, "hybrid_payg_tokens")
    as_alice.post("/billing/cancel/")

    assert "set to end already. Nothing was changed." in text(as_alice.post("/billing/cancel/", follow=True))
    assert Subscription.objects.get().cancel_at_period_end


def test_cancel_with_stripe_away_changes_nothing_and_says_what_to_do(
    shop, account, alice, as_alice, stripe_fails
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    stripe_fails(method="POST", path="/v1/subscriptions/*", status=500, times=20)

    answer = text(as_alice.post("/billing/cancel/", follow=True))

    assert "nothing was changed" in answer
    assert not Subscription.objects.get().cancel_at_period_end


def test_a_failed_renewal_is_said_on_every_page_to_each_in_their_words(
    shop, account, alice, as_alice, as_bob, settle
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)

    for_alice = text(as_alice.get("/usage/"))
    for_bob = text(as_bob.get("/usage/"))

    assert "Your last payment did not go through." in for_alice
    assert "Update card" in for_alice
    assert "The last payment did not go through." in for_bob
    assert "Ask Alice" in for_bob
    assert "Update card" not in for_bob


def test_after_grace_the_plan_is_off_and_billing_stays_open(shop, account, alice, as_alice):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)
    grace_until = entitlements.of(account, now=clock.now(account)).grace_until

    Customer.objects.filter(account=account).update(
        clock_now=grace_until
    )  # the clock alone, no letter, no sync
    page = text(as_alice.get("/billing/"))

    assert "Your plan is off because a payment is missing." in page
    assert "Free" in page
    assert page.count("Pay the open invoice: $5.00") == 2  # in the notice, and among the buttons


def test_a_plan_given_by_staff_says_that_nothing_is_charged(shop, account, dana, as_alice):
    now = clock.now(account)
    grant = grants.give(
        account=account, plan_key="team", kind="comped", reason="Conference sponsor", now=now, by=dana
    )

    page = text(as_alice.get("/billing/"))
    assert "Team" in page
    assert "You pay nothing for it" in page

    grants.revoke(grant=grant, now=now)
    assert "You pay nothing for it" not in text(as_alice.get("/billing/"))


def test_an_account_put_on_hold_reads_and_does_nothing_else_until_it_is_let_go(
    shop, account, alice, as_alice, as_dana
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    press = lambda act: as_dana.post(  # noqa: E731
        "/staff/billing/customer/", {"action": act, "_selected_action": [str(account.pk)]}, follow=True
    )

    assert "On hold." in text(press("suspend"))
    page = as_alice.get("/billing/")
    assert page.status_code == 200
    assert "This account is on hold." in text(page)
    refused = as_alice.post("/demo/generate/", {"key": "while-on-hold"})
    assert refused.status_code == 402

    press("lift")
    assert "on hold" not in text(as_alice.get("/billing/"))
    assert as_alice.post("/demo/generate/", {"key": "let-go"}).status_code == 302


def test_the_demo_clock_jumps_for_this_account_and_no_other(shop, account, alice, as_alice, charlie):
    buy(shop, account, alice, "hybrid_payg_tokens")
    before = clock.now(account)

    answer = as_alice.post("/demo/fast-forward/", {"step": "week", "next": "/usage/"}, follow=True)

    assert answer.redirect_chain[-1][0] == "/usage/"
    assert clock.now(account) == before + timedelta(days=7)
    assert abs((clock.now(charlie.personal_account) - clock.wall()).total_seconds()) < 60


def test_the_demo_clock_sends_nobody_to_another_site(shop, as_alice):
    answer = as_alice.post("/demo/fast-forward/", {"step": "day", "next": "https://evil.example/"})

    assert answer["Location"] == "/billing/"


def test_without_the_demo_there_is_no_clock_and_no_mailbox(shop, as_alice, settings):
    settings.DEMO = False

    assert as_alice.post("/demo/fast-forward/", {"step": "day"}).status_code == 404
    assert as_alice.get("/demo/mailbox/").status_code == 404


def test_a_paid_renewal_shows_in_payments_with_its_receipt(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", 2)
    let_pass(account, subscription.trial_end + timedelta(hours=2))

    page = as_alice.get("/billing/").content.decode()

    paid = Payment.objects.get(account=account, amount_paid=3800)
    assert paid.number in page
    assert paid.hosted_invoice_url in page
    assert "$38.00" in page


def test_a_payment_in_grace_brings_everything_back(shop, account, alice):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)
    change_card(shop, account, VISA)
    subscription = Subscription.objects.get()

    let_pass(account, subscription.next_payment_attempt_at + timedelta(hours=2))

    rights = entitlements.of(account, now=clock.now(account))
    assert (rights.plan.key, rights.reason) == ("payg", "active")
    assert Subscription.objects.get().first_failed_at is None


def fail_the_renewal(shop, account, alice) -> None:
    """A month with usage, whose invoice the card declines."""
    from usage import metering, meters

    change_card(shop, account, DECLINED_LATER)
    now = clock.now(account)
    metering.consume(account=account, feature="tokens", units=10, idempotency_key="work", now=now, user=alice)
    meters.deliver(now=clock.wall())
    end = Subscription.objects.get(account=account).current_period_end
    let_pass(account, end + timedelta(hours=2))
    assert Subscription.objects.get(account=account).status == "past_due"


def test_people_without_an_account_of_their_own_are_not_lost(shop, as_dana):
    assert as_dana.get("/billing/").status_code == 200


def test_the_notice_of_an_account_names_only_its_own_people(shop, account, alice, as_bob):
    factories.organization(owner=factories.person(email="eve@example.com", name="Eve"), name="Eve & Co")
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)

    page = text(as_bob.get("/usage/"))

    assert not re.search(r"\bEve\b", page)


def on_hold(account) -> None:
    suspension.suspend(account=account, reason="spam", now=clock.now(account))


def after_grace(account) -> None:
    """The clock alone, no letter, no sync."""
    until = entitlements.of(account, now=clock.now(account)).grace_until
    Customer.objects.filter(account=account).update(clock_now=until)


def given(account, plan) -> None:
    grants.give(account=account, plan_key=plan, kind="enterprise", reason="signed", now=clock.now(account))


def test_on_hold_the_charge_that_goes_on_is_shown_and_the_plan_can_be_canceled(
    shop, account, alice, as_alice
):
    buy(shop, account, alice, "hybrid_team_month", 3)
    on_hold(account)

    page = text(as_alice.get("/billing/"))
    assert "Your subscription to Team goes on meanwhile: $57.00 on" in page
    assert "Nothing is charged" not in page
    assert "Choose a plan" not in page

    page = text(as_alice.post("/billing/cancel/", follow=True))
    assert "Team ends on" in page
    assert "Everything works" not in page
    assert Subscription.objects.get().cancel_at_period_end


def test_on_hold_nothing_is_offered_for_sale(shop, account, as_alice):
    on_hold(account)

    assert "Choose a plan" not in text(as_alice.get("/billing/"))
    page = as_alice.get("/pricing/")
    assert "This account is on hold. Write to" in text(page)
    assert 'action="/billing/upgrade/"' not in page.content.decode()


def test_pay_as_you_go_says_everywhere_that_what_was_used_is_still_charged(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")
    day = f"{subscription.current_period_end:%-d %B %Y}"

    assert f"What you use until {day} is charged then, to Visa ending 4242." in text(
        as_alice.get("/billing/")
    )

    asked = text(as_alice.get("/billing/cancel/"))
    assert "What you used until then is charged on that day" in asked
    assert "You have paid until" not in asked

    done = as_alice.post("/billing/cancel/", follow=True)
    assert "what you used until then is charged on that day" in str(next(iter(done.context["messages"])))
    page = text(done)
    assert f"Everything works until {day} . What you used until then is charged on that day." in page
    assert "you keep all of it; what you used until then is charged on that day." in page
    assert "othing more is charged" not in page


def test_a_plan_for_which_nothing_was_due_is_not_said_to_be_paid(shop, account, alice, as_alice):
    intent = go_to_the_till(account, alice, "hybrid_payg_tokens")
    pay(shop, intent)

    page = text(as_alice.get(f"/billing/upgraded/?session_id={intent.stripe_session_id}"))

    assert "Nothing has been charged. Everything in Pay as you go works from now on." in page
    assert "What you use is charged at the end of each month." in page
    assert "The payment went through" not in page


def test_a_price_by_the_unit_is_not_called_monthly(shop, account, alice, as_alice):
    buy(shop, account, alice, "hybrid_payg_tokens")

    assert "Pay as you go, by the token" in text(as_alice.get("/billing/"))


def test_who_cancels_a_plan_that_is_not_paid_reads_its_name_and_no_thanks_for_paying(
    shop, account, alice, as_alice
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)
    after_grace(account)

    asked = text(as_alice.get("/billing/cancel/"))

    assert "Cancel Pay as you go?" in asked
    assert "You have paid until" not in asked
    assert "What is open now stays to be paid" in asked


def test_a_plan_that_is_off_for_want_of_payment_is_ended_at_once_and_another_can_be_chosen(
    shop, account, alice, as_alice
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    assert "no plan that waits to be ended" in text(as_alice.get("/billing/end/", follow=True))
    fail_the_renewal(shop, account, alice)
    after_grace(account)

    assert "End the plan now" in text(as_alice.get("/billing/"))
    assert "End Pay as you go now?" in text(as_alice.get("/billing/end/"))
    assert Subscription.objects.get().is_live

    done = text(as_alice.post("/billing/end/", follow=True))

    assert "Your plan is over. You can choose another one at once." in done
    assert "Choose a plan" in done
    assert not Subscription.objects.get().is_live


def test_what_was_used_reaches_stripe_before_a_plan_is_ended_or_the_plan_is_not_ended(
    shop, account, alice, as_alice, stripe_fails
):
    from usage import metering
    from usage.models import MeterDelivery

    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)
    metering.consume(
        account=account, feature="tokens", units=4, idempotency_key="in-grace", now=clock.now(account)
    )
    after_grace(account)

    stripe_fails(method="POST", path="/v1/billing/meter_events", status=500, times=50)
    assert "nothing was changed" in text(as_alice.post("/billing/end/", follow=True))
    assert Subscription.objects.get().is_live

    stripe_fails.call_off()
    as_alice.post("/billing/end/")
    assert not Subscription.objects.get().is_live
    assert not MeterDelivery.objects.exclude(state="sent").exists()


def test_a_plan_given_beside_a_failing_subscription_shows_whose_price_is_owed(
    shop, account, alice, as_alice, as_bob
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)
    given(account, "enterprise")

    page = text(as_alice.get("/billing/"))
    assert "Enterprise, " not in page
    assert "Beside it your subscription to Pay as you go goes on:" in page
    assert "A payment is missing." in page
    assert "A payment for your subscription did not go through." in page
    assert "Enterprise stays on, because it is given to you." in page
    assert "Enterprise stays on. Ask Alice" in text(as_bob.get("/usage/"))


def test_seats_that_are_not_paid_are_not_given_by_a_grant(shop, account, alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", 50)
    given(account, "enterprise")
    assert entitlements.of(account, now=clock.now(account)).seats == 50

    Subscription.objects.filter(pk=subscription.pk).update(status="unpaid")

    assert entitlements.of(account, now=clock.now(account)).seats == 1


def test_a_trial_that_just_ended_is_not_a_failed_payment(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_team_month", 2)
    Customer.objects.filter(account=account).update(clock_now=subscription.trial_end + timedelta(hours=1))

    page = text(as_alice.get("/billing/"))
    assert "Trial over, first payment on its way" in page
    assert "Payment failed" not in page
    assert "An invoice is open" not in page

    Subscription.objects.update(cancel_at_period_end=True)
    page = text(as_alice.get("/billing/"))
    assert "The trial is over. Nothing has been charged." in page
    assert "We are checking something" not in page


def test_a_renewal_stripe_never_told_us_about_is_not_an_open_invoice(shop, account, alice, as_alice):
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")
    end = subscription.current_period_end

    Customer.objects.filter(account=account).update(clock_now=end + timedelta(hours=1))
    page = text(as_alice.get("/billing/"))
    assert f"The payment of {end:%-d %B %Y} is being taken." in page

    Customer.objects.filter(account=account).update(clock_now=end + timedelta(days=4))
    page = text(as_alice.get("/billing/"))
    assert "Stripe has not told us yet what comes next." in page
    assert "Being checked" in page
    assert "An invoice is open" not in page


def test_a_plan_that_ended_for_want_of_payment_says_so_and_what_paying_does(shop, account, alice, as_alice):
    buy(shop, account, alice, "hybrid_payg_tokens")
    fail_the_renewal(shop, account, alice)

    let_pass(account, clock.now(account) + timedelta(days=25))  # every retry has failed and Stripe gave up

    ended = Subscription.objects.get(account=account)
    assert (ended.status, ended.is_live) == ("canceled", False)
    page = text(as_alice.get("/billing/"))
    assert f"Pay as you go ended on {ended.ended_at:%-d %B %Y} because a payment was missing" in page
    assert "it does not bring the plan back. To go on, choose a plan." in page
    suspension.suspend(account=account, reason="spam", now=clock.now(account))
    on_hold = text(as_alice.get("/billing/"))
    assert "it does not bring the plan back." in on_hold
    assert "choose a plan" not in on_hold.lower()
    assert "Choose a plan" in page


def test_who_cancels_while_a_payment_is_missing_is_not_promised_the_plan_to_its_last_day(
    shop, account, alice, as_alice
):
    buy(shop, account, alice, "hybrid_team_month", 2)
    fail_the_renewal(shop, account, alice)

    asked = text(as_alice.get("/billing/cancel/"))

    assert "What is open now stays to be paid" in asked
    assert "From that moment at the latest you are on Free." in asked
