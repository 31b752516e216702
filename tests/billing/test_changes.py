"""Changing the plan: the receipt first, paid first, and the charge is what the receipt said."""

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import Member, Notification
from billing import clock, entitlements
from billing.lifecycle import subscriptions
from billing.models import Alert, CheckoutIntent, Customer, Payment, PlanChange, Subscription
from billing.stripe import gateway
from simulator.hosted import checkout as hosted
from simulator.hosted import invoices as hosted_invoice
from simulator.hosted.outcome import NotOpen
from tests import factories
from tests.billing.changing import acts_for, change, due_on, look, press, token_on
from tests.billing.shopping import DECLINED_LATER, at_stripe, buy, card, change_card, let_pass
from tests.billing.test_billing_pages import text
from usage import metering

pytestmark = pytest.mark.django_db(transaction=True)

TEAM, TEAM_YEAR = "automation_team_month", "automation_team_year"
TOP, TOP_YEAR = "automation_enterprise_month", "automation_enterprise_year"


@pytest.fixture
def automation(settings):
    settings.BILLING_CATALOG = "automation"
    settings.STRIPE_TEST_CLOCKS = True


@pytest.fixture
def client(automation, shop, account, as_alice):
    """Alice in a browser, acting for her organization."""
    return acts_for(as_alice, account)


def live(account):
    return Subscription.objects.live().get(account=account)


def newest(account):
    return Payment.objects.filter(account=account).latest("created_at", "pk")


@pytest.mark.parametrize(
    ("begin", "end"), [(TEAM, TOP), (TEAM, TEAM_YEAR), (TEAM_YEAR, TOP_YEAR), (TEAM_YEAR, TOP)]
)
def test_the_next_payment_comes_on_the_day_that_the_receipt_names(client, shop, account, alice, begin, end):
    buy(shop, account, alice, begin)
    let_pass(account, clock.now(account) + timedelta(days=10))
    page = look(client, price=end)

    press(client, page)

    said = f"Then each {'year' if end.endswith('year') else 'month'} from {live(account).current_period_end:%-d %B %Y}"
    assert said in text(page)


@pytest.mark.parametrize(
    ("days", "hours", "minutes"), [(0, 0, 1), (0, 23, 59), (13, 3, 33), (27, 1, 2), (29, 23, 57)]
)
@pytest.mark.parametrize(
    ("begin", "end"), [(TEAM, TOP), (TEAM, TEAM_YEAR), (TEAM_YEAR, TOP_YEAR), (TEAM_YEAR, TOP)]
)
def test_what_is_charged_is_what_was_shown(client, shop, account, alice, begin, end, days, hours, minutes):
    buy(shop, account, alice, begin)
    let_pass(account, clock.now(account) + timedelta(days=days, hours=hours, minutes=minutes))
    page = look(client, price=end)
    shown = due_on(page)

    press(client, page)

    assert live(account).price_lookup_key == end
    paid = newest(account)
    assert (paid.status, paid.amount_due, paid.billing_reason) == ("paid", shown, "subscription_update")
    assert PlanChange.objects.get().state == "done"


def test_the_receipt_has_the_credit_the_charge_today_and_then(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    period = live(account)
    half = (period.current_period_end - period.current_period_start) / 2
    let_pass(account, period.current_period_start + half)

    said = text(look(client, price=TOP))

    assert "Unused time on Agnostic Automation Center Team" in said and "-$49.50" in said
    assert "Remaining time on Agnostic Automation Center Enterprise" in said and "$249.50" in said
    assert "Today $200.00" in said
    assert f"Then each month from {period.current_period_end:%-d %B %Y} $499.00" in said
    assert "Pay $200.00 and switch" in said
    assert "Single sign-on no → becomes yes" in said


def test_what_was_used_stays_counted_and_the_proration_gives_nothing_anew(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    let_pass(account, clock.now(account) + timedelta(days=10))
    metering.consume(
        account=account, feature="test_runs", units=900, idempotency_key="k", now=clock.now(account)
    )

    change(client, price=TOP)
    now = clock.now(account)
    balance = next(b for b in metering.balances(account, now=now) if b.feature == "test_runs")

    assert (balance.used, balance.limit) == (900, None)


def test_from_the_month_to_the_year_the_allowance_is_not_given_twice(client, shop, account, alice):
    """A new billing period begins with the year; what was used of the month's runs stays used."""
    buy(shop, account, alice, TEAM)
    let_pass(account, clock.now(account) + timedelta(days=10))
    metering.consume(
        account=account, feature="test_runs", units=900, idempotency_key="k", now=clock.now(account)
    )

    change(client, price=TEAM_YEAR)

    (balance,) = metering.balances(account, now=clock.now(account))
    assert (balance.used, balance.remaining) == (900, 100)
    let_pass(account, clock.now(account) + timedelta(days=31, hours=1))
    (balance,) = metering.balances(account, now=clock.now(account))
    assert balance.remaining == 1000


def test_a_year_is_paid_at_once_less_what_is_left_of_the_month(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    let_pass(account, clock.now(account) + timedelta(days=5))

    assert change(client, price=TEAM_YEAR).state == "done"

    after = live(account)
    assert after.current_period_end - clock.now(account) > timedelta(days=364)
    assert 85000 < newest(account).amount_paid < 95000


def test_tax_and_discount_are_on_the_receipt_and_in_the_charge(client, shop, account, alice):
    subscription = buy(shop, account, alice, TEAM)
    rate = gateway.post(
        "/v1/tax_rates",
        {"display_name": "VAT", "percentage": "19", "inclusive": False},
        idempotency_key="vat",
    )
    coupon = gateway.post("/v1/coupons", {"percent_off": 10, "duration": "forever"}, idempotency_key="ten")
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"default_tax_rates": [rate["id"]], "discounts": [{"coupon": coupon["id"]}]},
        idempotency_key="vat and ten",
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)
    let_pass(account, clock.now(account) + timedelta(days=12, hours=1))
    page = look(client, price=TOP)
    assert "Discount -$" in text(page) and "Tax $" in text(page)
    assert "plus tax, before discounts $499.00" in text(page)
    sums = page.context["sums"]
    assert sums.charge - sums.credit - sums.discount + sums.tax == sums.total == sums.due

    press(client, page)

    assert newest(account).amount_paid == due_on(page)


def test_a_declined_card_leaves_the_old_plan_and_says_so(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    let_pass(account, clock.now(account) + timedelta(days=5))
    change_card(shop, account, DECLINED_LATER)

    said = text(press(client, look(client, price=TOP)))

    assert "The plan was not changed" in said and "Your card was declined" in said
    assert "Team goes on as it is, and nothing was charged" in said
    assert live(account).plan_key == "team" and live(account).status == "active"
    assert entitlements.of(account, now=clock.now(account)).level == 3
    assert at_stripe(shop, account, "subscription")[0]["pending_update"] is None
    assert not Payment.objects.filter(account=account, status="open").exists()
    assert PlanChange.objects.get().state == "failed"


def test_with_another_card_the_same_change_goes_through(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    change_card(shop, account, DECLINED_LATER)
    press(client, look(client, price=TOP))
    change_card(shop, account, "4242424242424242")

    assert change(client, price=TOP).state == "done"
    assert live(account).plan_key == "enterprise"


@pytest.fixture
def waiting(client, shop, account, alice):
    """A change whose bank wants to see the customer."""
    subscription = buy(shop, account, alice, TEAM)
    customer = subscription.stripe_customer_id
    method = gateway.post(
        "/v1/payment_methods/pm_card_authenticationRequired/attach",
        {"customer": customer},
        idempotency_key="attach-3ds",
    )
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"default_payment_method": method["id"]},
        idempotency_key="default-3ds",
    )
    page = press(client, look(client, price=TOP))
    return page, PlanChange.objects.get()


def test_a_bank_that_asks_is_answered_on_stripes_page_and_the_plan_follows(waiting, client, shop, account):
    page, asked = waiting
    assert "Your bank wants to know that it is you" in text(page)
    assert asked.state == "waiting" and asked.invoice_url in page.content.decode()
    assert live(account).plan_key == "team"

    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    assert outcome.status == "requires_action"
    assert hosted.finish_authentication(shop, outcome.intent, ok=True).status == "paid"

    assert "Enterprise it is" in text(client.get(f"/billing/change/{asked.pk}/"))
    assert live(account).plan_key == "enterprise"


def test_while_it_waits_another_change_is_refused_with_the_way_to_it(waiting, client):
    refused = look(client, price=TEAM_YEAR)

    assert refused.status_code == 409
    assert "waits for its payment" in text(refused) and "Look at that change" in text(refused)


def test_what_waits_can_be_called_off(waiting, client, shop, account):
    _, asked = waiting

    said = text(client.post(f"/billing/change/{asked.pk}/take-back/", follow=True))

    assert "The change is taken back. Team goes on" in said
    asked.refresh_from_db()
    assert asked.state == "undone"
    assert at_stripe(shop, account, "subscription")[0]["pending_update"] is None
    assert look(client, price=TOP).status_code == 200


def billing_page(client):
    return text(client.get("/billing/"))


def told(account, kind):
    return Notification.objects.filter(account=account, kind=kind)


def test_who_cancels_while_it_waits_calls_it_off_and_no_page_asks_for_it_any_more(
    waiting, client, shop, account
):
    _, asked = waiting
    assert "The change to Enterprise, which waits for your bank, is called off" in text(
        client.get("/billing/cancel/")
    )

    said = text(client.post("/billing/cancel/", follow=True))

    assert "The change to Enterprise is off." in said
    assert "Nothing more is charged." in said
    assert "Confirm it" not in said and "Waits for you" not in said
    asked.refresh_from_db()
    assert (asked.state, asked.failure) == ("undone", "")
    assert gateway.get(f"/v1/invoices/{asked.stripe_invoice_id}")["status"] == "void"
    assert at_stripe(shop, account, "subscription")[0]["pending_update"] is None
    assert "The change to Enterprise, which waited for your bank" in told(account, "canceled").get().text
    outcome = text(client.get(f"/billing/change/{asked.pk}/"))
    assert "was taken back, and nothing was charged. Team ends on" in outcome
    assert "goes on" not in outcome
    with pytest.raises(NotOpen):
        hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    paid = len([charge for charge in at_stripe(shop, account, "charge") if charge["paid"]])
    let_pass(account, live(account).current_period_end + timedelta(hours=2))
    assert len([charge for charge in at_stripe(shop, account, "charge") if charge["paid"]]) == paid


def test_when_the_bank_does_not_confirm_it_the_page_says_so_and_what_to_do(waiting, client, shop, account):
    _, asked = waiting
    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    assert hosted.finish_authentication(shop, outcome.intent, ok=False).status == "declined"

    page = client.get(f"/billing/change/{asked.pk}/")

    said = text(page)
    assert "The payment was not confirmed" in said
    assert "Nothing was charged, and Team goes on as it is." in said
    assert "wants to know that it is you" not in said
    assert f'href="{asked.invoice_url}"' in page.content.decode() and "Try again at Stripe" in said
    assert live(account).plan_key == "team"
    billing = billing_page(client)
    assert "The payment for the change to Enterprise was not confirmed, and nothing was charged" in billing
    assert "Try again or call it off" in billing

    again = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id, card=card())
    assert again.status == "paid"
    assert "Enterprise it is" in text(client.get(f"/billing/change/{asked.pk}/"))
    asked.refresh_from_db()
    assert asked.failure == ""


def test_never_tried_again_what_the_bank_did_not_confirm_is_called_off_with_the_reason(
    waiting, client, shop, account
):
    _, asked = waiting
    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    hosted.finish_authentication(shop, outcome.intent, ok=False)
    client.get(f"/billing/change/{asked.pk}/")

    let_pass(account, clock.now(account) + timedelta(hours=24))

    said = text(client.get(f"/billing/change/{asked.pk}/"))
    assert "The plan was not changed" in said
    assert "unable to authenticate your payment method" in said
    assert live(account).plan_key == "team"


def test_the_bank_s_question_is_told_once_and_no_longer_so_once_it_is_called_off(
    waiting, client, shop, account, settle
):
    _, asked = waiting
    for _ in range(2):
        outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
        assert outcome.status == "requires_action"
        settle()
        subscriptions.sync(account=account, reason="test")
    [notice] = told(account, "action_required")
    assert notice.overtaken_at is None

    client.post(f"/billing/change/{asked.pk}/take-back/")

    [notice] = told(account, "action_required")
    assert notice.overtaken_at is not None
    assert "No longer so" in text(client.get("/notifications/"))


def test_the_bank_s_question_is_no_longer_so_once_it_is_answered(waiting, client, shop, account, settle):
    _, asked = waiting
    outcome = hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id)
    hosted.finish_authentication(shop, outcome.intent, ok=True)
    settle()
    assert told(account, "action_required").get().overtaken_at is not None


def test_what_waits_while_the_plan_is_canceled_at_stripe_is_called_off_by_the_next_look(
    waiting, client, shop, account, settle
):
    _, asked = waiting
    gateway.post(
        f"/v1/subscriptions/{live(account).stripe_subscription_id}",
        {"cancel_at_period_end": True},
        idempotency_key="portal",
    )
    settle()

    assert gateway.get(f"/v1/invoices/{asked.stripe_invoice_id}")["status"] == "void"
    asked.refresh_from_db()
    assert asked.state == "undone"
    assert "Confirm it" not in billing_page(client)


def test_when_stripe_will_not_void_it_staff_are_told_and_syncs_go_on(
    waiting, client, shop, account, settle, stripe_fails
):
    _, asked = waiting
    path = f"/v1/invoices/{asked.stripe_invoice_id}/void"
    stripe_fails(method="POST", path=path, status=400, times=40)
    gateway.post(
        f"/v1/subscriptions/{live(account).stripe_subscription_id}",
        {"cancel_at_period_end": True},
        idempotency_key="portal",
    )
    settle()

    assert live(account).is_canceling
    assert "Void it at Stripe" in Alert.objects.get(kind="change_not_called_off").message


def will_not_void(stripe_fails, change):
    stripe_fails(method="POST", path=f"/v1/invoices/{change.stripe_invoice_id}/void", status=400, times=40)


def test_i_can_cancel_though_stripe_will_not_void_what_waits(waiting, client, account, stripe_fails):
    _, asked = waiting
    will_not_void(stripe_fails, asked)

    said = text(client.post("/billing/cancel/", follow=True))

    assert "Your plan is canceled." in said and "nothing was changed" not in said
    assert "The change to Enterprise could not be called off yet: do not confirm its payment." in said
    assert "Enterprise is off" not in said
    assert live(account).is_canceling
    assert "Void it at Stripe" in Alert.objects.get(kind="change_not_called_off").message
    assert "is called off" not in told(account, "canceled").get().text


def test_a_refusal_to_void_is_not_repeated_by_the_next_try(waiting, client, account, stripe_fails):
    _, asked = waiting
    will_not_void(stripe_fails, asked)
    client.post(f"/billing/change/{asked.pk}/take-back/")
    assert PlanChange.objects.get().state == "waiting"
    stripe_fails.call_off()

    said = text(client.post(f"/billing/change/{asked.pk}/take-back/", follow=True))

    assert "The change is taken back. Team goes on" in said
    assert gateway.get(f"/v1/invoices/{asked.stripe_invoice_id}")["status"] == "void"


def test_when_the_cancellation_fails_what_waits_goes_on_waiting(waiting, client, account, stripe_fails):
    _, asked = waiting
    path = f"/v1/subscriptions/{live(account).stripe_subscription_id}"
    stripe_fails(method="POST", path=path, status=400, times=40)

    said = text(client.post("/billing/cancel/", follow=True))

    assert "nothing was changed" in said
    asked.refresh_from_db()
    assert asked.state == "waiting" and not live(account).is_canceling
    assert gateway.get(f"/v1/invoices/{asked.stripe_invoice_id}")["status"] == "open"


def test_canceled_just_after_it_was_paid_the_upgrade_is_had_until_the_end(waiting, client, shop, account):
    _, asked = waiting
    assert hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id, card=card()).status == "paid"

    said = text(client.post("/billing/cancel/", follow=True))

    assert "The payment for the change to Enterprise had just gone through: it is made." in said
    assert "Enterprise is off" not in said
    asked.refresh_from_db()
    assert asked.state == "done"
    assert live(account).plan_key == "enterprise" and live(account).is_canceling
    assert f"It runs until {live(account).current_period_end:%-d %B %Y}" in said
    assert "is called off" not in told(account, "canceled").get().text


@pytest.mark.parametrize("refuses", [False, True])
def test_ended_at_once_what_waits_is_called_off_after_it(waiting, account, settle, stripe_fails, refuses):
    _, asked = waiting
    if refuses:
        will_not_void(stripe_fails, asked)

    subscriptions.cancel_now(account=account)

    assert not Subscription.objects.live().filter(account=account).exists()
    invoice = gateway.get(f"/v1/invoices/{asked.stripe_invoice_id}")
    assert invoice["status"] == ("open" if refuses else "void")
    assert Alert.objects.filter(kind="change_not_called_off").exists() == refuses
    asked.refresh_from_db()
    assert asked.state == ("failed" if refuses else "undone")


def test_the_pause_page_and_its_answer_say_what_goes_with_it(waiting, client, account, settings, tmp_path):
    _, asked = waiting
    words = (Path(settings.BILLING_CATALOG_DIR) / "automation.toml").read_text()
    pausing = tmp_path / "automation.toml"
    pausing.write_text(words.replace("[plans.team]\n", "[plans.team]\npause_months = 3\n", 1))
    settings.BILLING_CATALOG = str(pausing)
    assert "The change to Enterprise, which waits for your bank, is called off" in text(
        client.get("/billing/pause/")
    )

    said = text(client.post("/billing/pause/", {"months": "2"}, follow=True))

    assert "Nothing is charged in between. The change to Enterprise is off." in said
    asked.refresh_from_db()
    assert asked.state == "undone"


def test_ended_at_once_what_was_paid_before_is_done_and_not_said_to_be_unpaid(waiting, client, shop, account):
    _, asked = waiting
    assert hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id, card=card()).status == "paid"

    subscriptions.cancel_now(account=account)

    asked.refresh_from_db()
    assert (asked.state, asked.failure) == ("done", "")


def test_what_is_never_confirmed_is_forgotten_after_a_day(waiting, client, account):
    _, asked = waiting

    let_pass(account, clock.now(account) + timedelta(hours=24))

    said = text(client.get(f"/billing/change/{asked.pk}/"))
    assert "not confirmed in time" in said
    assert live(account).plan_key == "team"


def test_a_double_click_is_one_change_and_one_charge(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))

    first = client.post("/billing/change/", {"token": token})
    second = client.post("/billing/change/", {"token": token})

    assert first.status_code == second.status_code == 303
    assert first["Location"] == second["Location"]
    assert Payment.objects.filter(account=account, billing_reason="subscription_update").count() == 1


def test_the_second_of_two_people_sees_what_the_first_did(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    ann = factories.MemberFactory(account=account, role=Member.Role.ADMIN).user
    hers = Client()
    hers.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    acts_for(hers, account)
    his_page, her_page = look(client, price=TOP), look(hers, price=TEAM_YEAR)

    press(client, his_page)
    said = text(hers.post("/billing/change/", {"token": token_on(her_page)}, follow=True))

    assert "The plan was changed meanwhile" in said
    assert live(account).price_lookup_key == TOP
    assert PlanChange.objects.count() == 1


def test_an_amount_older_than_ten_minutes_is_shown_anew_and_not_charged(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        said = text(client.post("/billing/change/", {"token": token}, follow=True))

    assert "The amount was good for 10 minutes" in said and "What you pay today" in said
    assert live(account).plan_key == "team" and not PlanChange.objects.exists()


def test_an_amount_that_moved_is_shown_anew_and_not_charged(client, shop, account, alice):
    """Somebody at support gives a credit while the page is open."""
    subscription = buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))
    gateway.post(
        f"/v1/customers/{subscription.stripe_customer_id}/balance_transactions",
        {"amount": -500, "currency": "usd"},
        idempotency_key="gift",
    )

    said = text(client.post("/billing/change/", {"token": token}, follow=True))

    assert "The amount due has changed meanwhile" in said
    assert "From your balance with us -$5.00" in said
    assert live(account).plan_key == "team"


def test_somebody_elses_token_is_not_found(client, shop, account, alice, as_charlie, charlie):
    buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))
    hers = factories.organization(owner=charlie, name="Charlie's")
    acts_for(as_charlie, hers)

    assert as_charlie.post("/billing/change/", {"token": token}).status_code == 404
    assert client.post("/billing/change/", {"token": token + "x"}).status_code == 404
    assert client.post("/billing/change/", {}).status_code == 404
    assert live(account).plan_key == "team"


def test_somebody_elses_change_is_not_found(client, shop, account, alice, as_charlie):
    buy(shop, account, alice, TEAM)
    done = change(client, price=TOP)

    assert as_charlie.get(f"/billing/change/{done.pk}/").status_code == 404
    assert as_charlie.post(f"/billing/change/{done.pk}/take-back/").status_code == 404


def test_a_member_may_not_look_or_press(client, shop, account, alice, as_bob):
    buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))
    acts_for(as_bob, account)

    assert look(as_bob, price=TOP).status_code == 403
    assert as_bob.post("/billing/change/", {"token": token}).status_code == 403


def test_the_sixth_change_of_a_day_is_refused_politely(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    for wanted in (TOP, TOP_YEAR):
        assert change(client, price=wanted).state == "done"
    for _ in range(3):
        planned = change(client, price=TEAM_YEAR)
        client.post(f"/billing/change/{planned.pk}/take-back/")

    refused = look(client, price=TEAM_YEAR)

    assert refused.status_code == 409
    assert "changed 5 times in the last 24 hours" in text(refused)
    let_pass(account, clock.now(account) + timedelta(hours=25))
    assert look(client, price=TEAM_YEAR).status_code == 200


def test_while_a_payment_is_missing_the_page_leads_to_it(client, shop, account, alice):
    subscription = buy(shop, account, alice, TEAM)
    change_card(shop, account, DECLINED_LATER)
    let_pass(account, subscription.current_period_end + timedelta(hours=3))
    assert live(account).status == "past_due"

    refused = look(client, price=TOP)

    assert refused.status_code == 409
    assert "A payment is missing" in text(refused) and "Pay the open invoice: $99.00" in text(refused)
    assert live(account).open_invoice_url in refused.content.decode()


def test_a_plan_that_is_set_to_end_is_kept_first(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    client.post("/billing/cancel/")

    refused = look(client, price=TOP)

    assert "Your plan is set to end" in text(refused) and "Keep my plan" in text(refused)


def test_a_paused_plan_goes_on_first(client, shop, account, alice):
    subscription = buy(shop, account, alice, TEAM)
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"pause_collection": {"behavior": "void"}},
        idempotency_key="pause",
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    refused = look(client, price=TOP)

    assert "Your plan is paused" in text(refused) and "Go on with my plan" in text(refused)


def test_who_pays_by_invoice_writes_to_us(client, shop, account, alice):
    subscription = buy(shop, account, alice, TEAM)
    gateway.post(
        f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        {"collection_method": "send_invoice", "days_until_due": 14},
        idempotency_key="by invoice",
    )
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    refused = look(client, price=TOP)

    assert "You pay by invoice. Write to sales@automation.example" in text(refused)


def test_an_account_on_hold_changes_nothing(client, shop, account, alice):
    buy(shop, account, alice, TEAM)
    Customer.objects.filter(account=account).update(suspended_at=clock.now(account))

    refused = look(client, price=TOP)

    assert "This account is on hold" in text(refused)


def test_without_a_plan_there_is_nothing_to_change(client, account):
    page = client.get("/billing/change/", {"price": TOP}, follow=True)

    assert "There is no running plan to change" in text(page)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"price": "nobody_sells_this"}, "not on sale"),
        ({}, "not on sale"),
        ({"price": TEAM}, "You have exactly this already"),
        ({"price": TOP, "quantity": "3"}, "sold once per account"),
        ({"price": TOP, "quantity": "-1"}, "must be a whole number"),
        ({"price": TOP, "quantity": "1.5"}, "must be a whole number"),
        ({"price": TOP, "quantity": "9" * 30}, "must be a whole number"),
        ({"price": TOP, "quantity": "5; drop"}, "must be a whole number"),
        ({"seats": "4"}, "not sold by the seat"),
    ],
)
def test_nonsense_is_answered_in_words(client, shop, account, alice, query, said):
    buy(shop, account, alice, TEAM)

    refused = look(client, **query)

    assert refused.status_code == 409 and said in text(refused)
    assert not PlanChange.objects.exists()


def test_the_change_is_told_once(client, shop, account, alice):
    buy(shop, account, alice, TEAM)

    change(client, price=TOP)

    told = Notification.objects.get(account=account, kind="plan_changed")
    assert "Enterprise" in told.subject


def test_stripe_away_at_the_receipt_changes_nothing(client, shop, account, alice, stripe_fails):
    buy(shop, account, alice, TEAM)
    stripe_fails(method="POST", path="/v1/invoices/create_preview", status=500, times=10)

    page = client.get("/billing/change/", {"price": TOP}, follow=True)

    assert "could not be asked what the change costs" in text(page)


def test_an_answer_that_got_lost_is_found_out(client, shop, account, alice, stripe_fails):
    """The change was made and paid, and the line broke before Stripe could say so."""
    subscription = buy(shop, account, alice, TEAM)
    token = token_on(look(client, price=TOP))
    stripe_fails(
        method="POST",
        path=f"/v1/subscriptions/{subscription.stripe_subscription_id}",
        status=0,
        when="after",
        times=10,
    )

    client.post("/billing/change/", {"token": token})
    stripe_fails.call_off()
    subscriptions.sync(account=account, reason="test", wait_seconds=5)

    assert live(account).plan_key == "enterprise"
    assert PlanChange.objects.get().state == "done"
    assert Payment.objects.filter(account=account, billing_reason="subscription_update").count() == 1
    again = client.post("/billing/change/", {"token": token}, follow=True)
    assert "Enterprise it is" in text(again)


def test_a_checkout_is_not_opened_beside_a_plan(client, shop, account, alice):
    buy(shop, account, alice, TEAM)

    client.post("/billing/upgrade/", {"price": TOP, "quantity": "1"})

    assert CheckoutIntent.objects.filter(account=account).count() == 1
