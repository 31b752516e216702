"""What happens when a payment does not come: each state has its page, its date, its letter and its way out."""

import re
import time
from datetime import timedelta

import pytest
from django.core import mail
from django.core.cache import cache
from django.urls import reverse

from accounts.models import Notification
from accounts.notifications import outbox
from billing import clock, entitlements
from billing.access import Level
from billing.lifecycle import lease, subscriptions
from billing.messages import overdue
from billing.models import Alert, Customer, Payment, Subscription
from billing.stripe import gateway
from billing.stripe.gateway import journal
from simulator.hosted import invoices as hosted_invoice
from tests import factories
from tests.accounts.conftest import acting_for
from tests.billing import purchases
from tests.billing.changing import change
from tests.billing.shopping import VISA, buy, card, change_card, let_pass

pytestmark = pytest.mark.django_db(transaction=True)

PRICE = "hybrid_team_month"
HOURS = timedelta(hours=2)  # a renewal is invoiced at once and charged an hour later
ASKS_THE_BANK = "pm_card_authenticationRequired"
DECLINES = "pm_card_chargeCustomerFail"


@pytest.fixture
def as_alice(account, alice):
    """Her browser, at the organization's pages."""
    return acting_for(account, alice)


@pytest.fixture
def as_bob(account, bob):
    return acting_for(account, bob)


def text(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def notice(client) -> str:
    """The banner of a page, with its links."""
    found = re.search(r"<aside class=\"note wide.*?</aside>", client.get("/usage/").content.decode(), re.S)
    return re.sub(r"\s+", " ", found[0]) if found else ""


def sync(account) -> Subscription:
    assert subscriptions.sync(account=account, reason="test")
    return Subscription.objects.get(account=account)


def level(account) -> Level:
    return entitlements.of(account, now=clock.now(account)).level


def paying(shop, account, alice) -> Subscription:
    """On Team, its trial long over and paid once."""
    bought = buy(shop, account, alice, PRICE, 2)
    let_pass(account, bought.trial_end + HOURS)
    return sync(account)


def fail(shop, account) -> Subscription:
    """The next renewal is refused."""
    pays_from_now_on_with(account, DECLINES)
    let_pass(account, Subscription.objects.get(account=account).current_period_end + HOURS)
    return sync(account)


def pays_from_now_on_with(account, card) -> None:
    """As in Stripe's portal."""
    client, customer = purchases.at_stripe(), Customer.objects.get(account=account).stripe_customer_id
    method = client.v1.payment_methods.attach(card, {"customer": customer})
    for bought in Subscription.objects.live().filter(account=account):
        client.v1.subscriptions.update(bought.stripe_subscription_id, {"default_payment_method": method.id})


def pay_the_open_invoice(shop, account) -> None:
    change_card(shop, account, VISA)
    [owed] = Payment.objects.filter(account=account, status="open")
    gateway.post(f"/v1/invoices/{owed.stripe_invoice_id}/pay", idempotency_key=f"pay:{owed.pk}")


def a_while_passes(account) -> None:
    """A quarter of a minute, after which Billing asks about open invoices again."""
    cache.delete(f"open-invoices:{account.pk}")


def test_in_grace_the_page_names_the_sum_the_next_try_and_the_day_access_ends(
    shop, account, alice, as_alice, as_bob
):
    paying(shop, account, alice)
    failed = fail(shop, account)

    said = notice(as_alice)
    until = failed.first_failed_at + timedelta(days=7)
    assert f"We will try again on {failed.next_payment_attempt_at:%-d %B %Y}." in said
    assert f"{until:%-d %B %Y, %H:%M} UTC" in said
    assert f'href="{failed.open_invoice_url}">Pay $38.00 now' in said
    assert "Update card" in said
    assert level(account) == Level.GRACE
    for_bob = notice(as_bob)
    assert "Ask Alice" in for_bob and failed.open_invoice_url not in for_bob and "$38" not in for_bob


def test_who_pays_on_stripes_page_and_comes_back_sees_it_paid_before_any_letter(
    shop, account, alice, as_alice
):
    paying(shop, account, alice)
    fail(shop, account)
    assert "Payment failed" in text(as_alice.get("/billing/"))
    [owed] = Payment.objects.filter(account=account, status="open")
    hosted_invoice.pay_hosted(shop, owed.stripe_invoice_id, card=card())
    a_while_passes(account)

    said = text(as_alice.get("/billing/"))

    assert "Payment failed" not in said and "A payment is missing" not in said
    assert "Failed" not in said.partition("Payments Date")[2]
    assert Payment.objects.get(pk=owed.pk).status == "paid"
    assert level(account) == Level.FULL


def test_while_stripe_is_away_or_somebody_else_is_at_it_billing_says_that_it_may_be_behind(
    shop, account, alice, as_alice, stripe_fails
):
    paying(shop, account, alice)
    fail(shop, account)
    [owed] = Payment.objects.filter(account=account, status="open")
    hosted_invoice.pay_hosted(shop, owed.stripe_invoice_id, card=card())
    stripe_fails(method="GET", path="/v1/invoices/*", status=500, times=20)
    assert "a payment made a moment ago shows here later" in text(as_alice.get("/billing/"))
    stripe_fails.call_off()
    gateway.line.forget()
    a_while_passes(account)

    with lease.hold(account=account, purpose="a long act"):
        assert "Stripe is telling us of a payment" in text(as_alice.get("/billing/"))

    a_while_passes(account)
    assert "Payment failed" not in text(as_alice.get("/billing/"))


def test_billing_answers_soon_while_stripe_hangs_and_does_not_wait_for_it_at_every_visit(
    shop, account, alice, as_alice, stripe_fails
):
    paying(shop, account, alice)
    fail(shop, account)
    stripe_fails(method="GET", path="/v1/invoices/*", how="slow", delay_seconds=6, times=20)

    started = time.monotonic()
    first = text(as_alice.get("/billing/"))
    waited = time.monotonic() - started
    again = text(as_alice.get("/billing/"))

    assert waited < 5
    assert time.monotonic() - started - waited < 1.5
    for page in (first, again):
        assert "Payment failed" in page and "a payment made a moment ago shows here later" in page


def test_billing_asks_once_however_often_it_is_loaded_and_again_after_a_while(shop, account, alice, as_alice):
    paying(shop, account, alice)
    fail(shop, account)
    [owed] = Payment.objects.filter(account=account, status="open")

    def asked() -> int:
        return sum(call.path == f"/v1/invoices/{owed.stripe_invoice_id}" for call in journal.calls())

    before = asked()
    for _ in range(4):
        as_alice.get("/billing/")
    assert asked() == before + 1
    a_while_passes(account)
    as_alice.get("/billing/")
    assert asked() == before + 2


def test_seats_bought_while_the_renewal_was_a_draft_move_no_day_of_grace(shop, account, alice, as_alice):
    bought = paying(shop, account, alice)
    let_pass(account, bought.current_period_end + timedelta(seconds=1))
    assert change(as_alice, seats=5).state == "done"
    pays_from_now_on_with(account, DECLINES)

    # Nobody looks for a week, in which the renewal is refused and tried again.
    let_pass(account, bought.current_period_end + timedelta(days=7, hours=2))

    failed = sync(account)
    assert failed.first_failed_at == bought.current_period_end + timedelta(hours=1)
    assert level(account) == Level.FREE


def test_every_day_of_grace_is_had_and_not_an_hour_more(shop, account, alice, as_alice):
    paying(shop, account, alice)
    failed = fail(shop, account)
    ends = failed.first_failed_at + timedelta(days=7)

    Customer.objects.filter(account=account).update(clock_now=ends - timedelta(seconds=1))
    assert level(account) == Level.GRACE
    Customer.objects.filter(account=account).update(clock_now=ends)
    assert level(account) == Level.FREE

    said = notice(as_alice)
    assert "Your plan is off because a payment is missing." in said
    assert "Pay the open invoice: $38.00" in said and failed.open_invoice_url in said


def test_each_try_that_fails_again_gives_no_more_grace_and_paying_ends_it_all(shop, account, alice, as_alice):
    paying(shop, account, alice)
    first = fail(shop, account).first_failed_at
    let_pass(account, first + timedelta(days=4))
    assert sync(account).first_failed_at == first

    pay_the_open_invoice(shop, account)
    after = sync(account)

    assert (after.status, after.first_failed_at, after.open_invoice_url) == ("active", None, "")
    assert level(account) == Level.FULL
    assert "payment" not in notice(as_alice)
    # A later failure has grace of its own.
    again = fail(shop, account)
    assert again.first_failed_at > first + timedelta(days=20)
    assert level(account) == Level.GRACE


def test_a_new_card_pays_at_the_next_try_without_anything_else(shop, account, alice, as_alice):
    paying(shop, account, alice)
    failed = fail(shop, account)
    change_card(shop, account, VISA)

    let_pass(account, failed.next_payment_attempt_at + HOURS)

    assert sync(account).status == "active"
    assert level(account) == Level.FULL


def test_a_bank_that_asks_its_customer_is_answered_on_the_page_of_the_invoice(shop, account, alice, as_alice):
    paying(shop, account, alice)
    pays_from_now_on_with(account, ASKS_THE_BANK)

    let_pass(account, Subscription.objects.get(account=account).current_period_end + HOURS)
    failed = sync(account)

    said = notice(as_alice)
    assert "If your bank wants you to confirm it, that is done there too." in said
    assert failed.open_invoice_url in said
    kinds = Notification.objects.filter(account=account).values_list("kind", flat=True)
    assert "action_required" in kinds and "payment_failed" not in kinds


def test_each_try_that_the_bank_asks_about_is_told_with_the_next_one_and_the_end_of_access(
    shop, account, alice, as_alice
):
    paying(shop, account, alice)
    pays_from_now_on_with(account, ASKS_THE_BANK)
    let_pass(account, Subscription.objects.get(account=account).current_period_end + HOURS)
    failed = sync(account)

    def asked():
        return Notification.objects.filter(account=account, kind="action_required").order_by("pk")

    access_ends = failed.first_failed_at + timedelta(days=7)
    said = asked().get().text
    assert f"and Team ends on {access_ends:%-d %B %Y}" in said
    assert f"It is tried again on {failed.next_payment_attempt_at:%-d %B %Y}" in said
    tries = 1
    while failed.next_payment_attempt_at and tries < 3:
        let_pass(account, failed.next_payment_attempt_at + HOURS)
        failed, tries = sync(account), tries + 1
        sync(account)
        assert asked().count() == tries
        assert [notice.overtaken_at is None for notice in asked()] == [False] * (tries - 1) + [True]
        assert f"It is tried again on {failed.next_payment_attempt_at:%-d %B %Y}" in asked().latest("pk").text
    assert len({notice.text for notice in asked()}) == tries == 3

    pay_the_open_invoice(shop, account)
    sync(account)

    assert not asked().filter(overtaken_at=None).exists()


def test_the_last_try_that_the_bank_asks_about_ends_the_plan_and_only_that_is_told(
    shop, account, alice, as_alice, monkeypatch
):
    paying(shop, account, alice)
    monkeypatch.setattr(shop, "after_last_retry", "cancel")
    pays_from_now_on_with(account, ASKS_THE_BANK)
    let_pass(account, Subscription.objects.get(account=account).current_period_end + HOURS)
    first = sync(account).first_failed_at
    let_pass(account, first + timedelta(days=9))
    assert sync(account).status == "past_due"
    asked = Notification.objects.filter(account=account, kind="action_required")
    assert "Team is off until it is paid." in asked.latest("pk").text
    before = asked.count()

    let_pass(account, first + timedelta(days=25))

    assert sync(account).status == "canceled"
    assert asked.count() == before
    assert Notification.objects.filter(account=account, kind="ended").count() == 1


@pytest.mark.parametrize(("rule", "status"), [("unpaid", "unpaid"), ("past_due", "past_due")])
def test_after_the_last_try_a_plan_that_is_kept_waits_for_its_payment(
    shop, account, alice, as_alice, monkeypatch, rule, status
):
    paying(shop, account, alice)
    monkeypatch.setattr(shop, "after_last_retry", rule)
    failed = fail(shop, account)
    let_pass(account, failed.first_failed_at + timedelta(days=25))

    assert sync(account).status == status
    said = notice(as_alice)
    assert "Your plan is off because a payment is missing." in said
    assert "try your card again" not in said
    assert failed.open_invoice_url in said
    page = text(as_alice.get("/billing/"))
    assert "off: payment missing" in page and "End the plan now" in page
    assert level(account) == Level.FREE

    # Nothing new can be bought beside it; it is ended first, or paid.
    answer = as_alice.post(reverse("billing:upgrade"), {"price": PRICE, "quantity": "2"}, follow=True)
    assert Subscription.objects.filter(account=account).count() == 1
    assert answer.status_code in (200, 422)
    pay_the_open_invoice(shop, account)
    assert sync(account).status == "active"
    assert level(account) == Level.FULL


def test_after_the_last_try_a_plan_that_is_given_up_leaves_its_debt_and_a_new_choice(
    shop, account, alice, as_alice, monkeypatch
):
    paying(shop, account, alice)
    monkeypatch.setattr(shop, "after_last_retry", "cancel")
    failed = fail(shop, account)
    let_pass(account, failed.first_failed_at + timedelta(days=25))

    assert sync(account).status == "canceled"
    page = text(as_alice.get("/billing/"))
    assert "because a payment was missing. Paying the open invoice settles the debt" in page
    assert "Choose a plan" in page
    assert notice(as_alice) == ""


def test_a_first_payment_that_was_not_finished_leads_back_to_it_and_starts_when_paid(
    shop, account, alice, as_alice, as_bob
):
    begun = purchases.buy(account, "hybrid_pro_month", card=ASKS_THE_BANK)
    bought = sync(account)
    assert (begun.status, bought.status) == ("incomplete", "incomplete")

    said = notice(as_alice)
    assert "Your first payment is not finished." in said
    assert f'href="{bought.open_invoice_url}">Finish payment of $29.00' in said
    assert bought.open_invoice_url not in notice(as_bob)
    assert level(account) == Level.FREE

    pay_the_open_invoice(shop, account)
    assert sync(account).status == "active"
    assert level(account) == Level.FULL
    assert "not finished" not in notice(as_alice)


def test_a_first_payment_that_is_never_finished_is_dropped_after_a_day_and_another_may_be_made(
    shop, account, alice, as_alice
):
    purchases.buy(account, "hybrid_pro_month", card=ASKS_THE_BANK)
    sync(account)

    let_pass(account, clock.now(account) + timedelta(hours=24))

    assert sync(account).status == "incomplete_expired"
    assert notice(as_alice) == ""
    assert "Choose a plan" in text(as_alice.get("/billing/"))
    assert not Payment.objects.filter(account=account, amount_paid__gt=0).exists()
    buy(shop, account, alice, "hybrid_payg_tokens")


def test_an_invoice_that_is_overdue_has_grace_from_its_due_date_and_no_card_to_update(
    shop, account, alice, as_alice, as_bob
):
    bought = paying(shop, account, alice)
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"collection_method": "send_invoice", "days_until_due": 14},
        idempotency_key="by-invoice",
    )
    let_pass(account, bought.current_period_end + HOURS)
    sent = sync(account)
    assert (sent.status, level(account), notice(as_alice)) == ("active", Level.FULL, "")
    assert Notification.objects.filter(account=account, kind="invoice_sent").count() == 1

    let_pass(account, sent.open_invoice_due_at + HOURS)
    overdue = sync(account)
    assert overdue.status == "past_due"
    until = sent.open_invoice_due_at + timedelta(days=7)
    said = notice(as_alice)
    assert "Your invoice has not been paid." in said
    assert f"{until:%-d %B %Y, %H:%M} UTC" in said
    assert overdue.open_invoice_url in said and "$38.00" in said
    assert "Update card" not in said and "try again" not in said and "bank wants" not in said
    assert "The invoice has not been paid." in notice(as_bob)
    assert level(account) == Level.GRACE

    let_pass(account, until + HOURS)
    sync(account)
    assert level(account) == Level.FREE
    assert "Your plan is off because a payment is missing." in notice(as_alice)
    assert "Update card" not in notice(as_alice)
    [owed] = Payment.objects.filter(account=account, status="open")
    gateway.post(
        f"/v1/invoices/{owed.stripe_invoice_id}/pay", {"paid_out_of_band": True}, idempotency_key="transfer"
    )
    sync(account)
    assert level(account) == Level.FULL


def owing_by_invoice(shop, account, alice) -> Subscription:
    """Two weeks to pay the renewal, which has been sent."""
    bought = paying(shop, account, alice)
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"collection_method": "send_invoice", "days_until_due": 14},
        idempotency_key="by-invoice",
    )
    let_pass(account, bought.current_period_end + HOURS)
    return sync(account)


def about_overdue(account) -> list[str]:
    found = Notification.objects.filter(account=account, kind__in=["invoice_overdue", "plan_off"])
    return list(found.order_by("pk").values_list("kind", flat=True))


def settle(account, how: str, **params) -> None:
    [owed] = Payment.objects.filter(account=account, status="open")
    gateway.post(f"/v1/invoices/{owed.stripe_invoice_id}/{how}", params, idempotency_key=how)
    sync(account)


def test_an_overdue_invoice_is_told_once_with_sum_days_link_and_the_end_of_access(
    shop, account, alice, as_alice
):
    account.billing_email = "books@alice.example"
    account.save()
    sent = owing_by_invoice(shop, account, alice)
    assert about_overdue(account) == []

    let_pass(account, sent.open_invoice_due_at + timedelta(days=2))
    sync(account)
    sync(account)
    overdue.sweep(now=clock.wall())

    [letter] = Notification.objects.filter(account=account, kind="invoice_overdue")
    [owed] = Payment.objects.filter(account=account, status="open")
    until = sent.open_invoice_due_at + timedelta(days=7)
    assert f"Invoice {owed.number} for" in letter.text and "$38.00" in letter.subject
    assert f"It was due on {sent.open_invoice_due_at:%-d %B %Y}, 2 days ago." in letter.text
    assert f"stays on until {until:%-d %B %Y, %H:%M} UTC" in letter.text
    assert f"Pay it here: {owed.hosted_invoice_url}" in letter.text
    assert "Invoice overdue: $38.00" in text(as_alice.get("/notifications/"))
    outbox.deliver_due(now=clock.wall())
    [post] = [one for one in mail.outbox if one.subject.startswith("Invoice overdue")]
    assert post.to == ["books@alice.example"]
    assert about_overdue(account) == ["invoice_overdue"]


def test_a_plan_that_goes_off_for_an_overdue_invoice_is_told_by_the_clock_alone_and_taken_back_when_paid(
    shop, account, alice, as_alice
):
    sent = owing_by_invoice(shop, account, alice)
    let_pass(account, sent.open_invoice_due_at + HOURS)
    sync(account)
    # Nothing comes from Stripe when grace ends: our clock passes it.
    until = sent.open_invoice_due_at + timedelta(days=7)
    Customer.objects.filter(account=account).update(clock_now=until + HOURS)

    overdue.sweep(now=clock.wall())
    overdue.sweep(now=clock.wall())

    assert about_overdue(account) == ["invoice_overdue", "plan_off"]
    [letter] = Notification.objects.filter(account=account, kind="plan_off")
    assert "is off because invoice" in letter.text and "$38.00" in letter.text
    assert f"Pay it here: {sent.open_invoice_url}" in letter.text

    let_pass(account, until + HOURS * 2)
    settle(account, "pay", paid_out_of_band=True)

    kinds = ["invoice_overdue", "plan_off"]
    told = Notification.objects.filter(account=account, kind__in=kinds)
    assert told.filter(overtaken_at=None).count() == 0
    assert level(account) == Level.FULL
    assert text(as_alice.get("/notifications/")).count("No longer so") >= 2


def test_an_overdue_invoice_that_is_voided_is_no_longer_so(shop, account, alice):
    sent = owing_by_invoice(shop, account, alice)
    let_pass(account, sent.open_invoice_due_at + HOURS)
    sync(account)

    settle(account, "void")

    assert Notification.objects.get(account=account, kind="invoice_overdue").overtaken_at is not None


def test_an_invoice_paid_in_its_days_is_never_called_overdue(shop, account, alice):
    sent = owing_by_invoice(shop, account, alice)
    settle(account, "pay", paid_out_of_band=True)

    let_pass(account, sent.open_invoice_due_at + HOURS)
    sync(account)
    overdue.sweep(now=clock.wall())

    assert about_overdue(account) == []


def test_the_links_of_a_debt_are_nobody_elses(shop, account, alice, as_charlie):
    paying(shop, account, alice)
    failed = fail(shop, account)

    for path in ("/billing/", "/usage/", "/notifications/"):
        assert failed.open_invoice_url not in as_charlie.get(path).content.decode()
    assert notice(as_charlie) == ""


def test_the_letter_of_a_refused_card_says_what_the_page_says(shop, account, alice):
    paying(shop, account, alice)
    failed = fail(shop, account)

    [letter] = Notification.objects.filter(account=account, kind="payment_failed")
    until = failed.first_failed_at + timedelta(days=7)
    assert f"{until:%-d %B %Y, %H:%M} UTC" in letter.text
    assert f"{failed.next_payment_attempt_at:%-d %B %Y}" in letter.text
    assert failed.open_invoice_url in letter.text


# --- The same card on another account ------------------------------------------------------------------------


TEAM = "automation_team_month"  # without a trial, which the same card would have only once


@pytest.fixture
def automation(settings, request):
    settings.BILLING_CATALOG = "automation"
    return request.getfixturevalue("shop")


def test_staff_are_told_once_when_a_debtors_card_buys_a_plan_for_another_account(
    automation, account, alice, charlie
):
    buy(automation, account, alice, TEAM)
    fail(automation, account)
    change_card(automation, account, VISA)  # entered, and the invoice still open
    sync(account)
    other = factories.organization(owner=charlie, name="Charlie Ltd")

    buy(automation, other, charlie, TEAM)

    alert = Alert.objects.get(kind="same_card_owes")
    assert alert.account == other
    assert "runs a plan on the card of Alice & Co" in alert.message
    assert level(other) == Level.FULL
    Alert.objects.update(resolved_at=clock.wall())
    sync(other)
    assert not Alert.objects.filter(kind="same_card_owes", resolved_at=None).exists()


def test_a_card_that_owes_nothing_elsewhere_is_nobodys_business(automation, account, alice, charlie):
    buy(automation, account, alice, TEAM)

    buy(automation, factories.organization(owner=charlie, name="Charlie Ltd"), charlie, TEAM)

    assert not Alert.objects.filter(kind="same_card_owes").exists()
