"""What a customer sees on the billing pages, and who may press which button."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from billing import clock, entitlements, grants
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

    assert "no running plan to cancel" in text(as_alice.post("/billing/cancel/", follow=True))
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
    assert "Pay the open invoice" in page


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
    from usage import meter_events, metering

    change_card(shop, account, DECLINED_LATER)
    now = clock.now(account)
    metering.consume(account=account, feature="tokens", units=10, idempotency_key="work", now=now, user=alice)
    meter_events.deliver(now=clock.wall())
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

    assert "Eve" not in page
