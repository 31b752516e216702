"""Staff find everything, can open all of it, and change only what is meant to be changed by a person."""

import re
from datetime import timedelta
from html import unescape

import pytest
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing import alerts, clock, credits, effects, entitlements, grants
from billing.deals import enquiries, offers
from billing.leaving import cancelling, withdrawals
from billing.models import (
    Customer,
    Effect,
    Payment,
    PlanChange,
    PlanGrant,
    PriceRise,
    PriceRiseStep,
    Subscription,
    WebhookEvent,
    WebhookRejection,
)
from tests import factories
from tests.accounts.conftest import log_in
from tests.billing.purchases import known
from tests.billing.shopping import buy, go_to_the_till
from usage import metering
from usage.standing import gauges, slots

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def letter(simulator, settle, account):
    """A letter from Stripe that has been read."""
    known(account)
    settle()
    return WebhookEvent.objects.filter(state="processed").first()


@pytest.fixture
def alert(account):
    with transaction.atomic():
        return alerts.raise_alert(
            key="odd:1", kind="odd", message="Something odd.", account=account, now=timezone.now()
        )


@pytest.fixture
def mail_owed(account):
    with transaction.atomic():
        return effects.owe_mail(
            key="mail:1",
            to="alice@example.com",
            subject="Hi",
            body="Hi.",
            now=timezone.now(),
            account=account,
        )


@pytest.fixture
def everything(shop, settle, alice, account, bob, alert, mail_owed):
    """A row of every kind, made the way rows are made."""
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")
    metering.consume(
        account=account, feature="tokens", units=3, idempotency_key="three", now=clock.now(account)
    )
    buy(shop, alice.personal_account, alice, "hybrid_pro_month")
    settle()
    now = timezone.now()
    grants.give(account=account, plan_key="enterprise", kind="enterprise", reason="signed in May", now=now)
    WebhookRejection.objects.create(day=now.date(), reason="signature", count=2)
    credits.give(
        account=account, feature="tokens", units=5, source="gift", source_key="g", now=now, reason="Sorry"
    )
    PlanChange.objects.create(
        account=account,
        nonce="n",
        state="failed",
        stripe_subscription_id=subscription.stripe_subscription_id,
        from_plan_key="payg",
        from_price="hybrid_payg_tokens",
        from_quantity=1,
        to_plan_key="team",
        to_price="hybrid_team_month",
        to_quantity=2,
        shown_amount=3800,
        currency="usd",
        takes_effect_at=now,
        failure="Your card was declined.",
        created_at=now,
    )
    at = clock.now(account)
    gauges.claim(account=account, feature="projects", key="project:1", now=at)
    slots.take(account=account, feature="projects", key="run:1", now=at)
    metering.reserve(account=account, feature="tokens", units=1, idempotency_key="held", now=at)
    cancelling.cancel(account=alice.personal_account, by=alice, feedback="unused")
    withdrawals.declare(name="Erika", email="erika@example.com", contract="", account=None, now=now)
    enquiry = enquiries.receive(name="Erika", email="erika@example.com", message="Hello", now=now)
    offers.make(
        account=account,
        plan_key="enterprise",
        interval="year",
        seats=10,
        amount=100_000,
        recipient="erika@example.com",
        open_until=now + timedelta(days=30),
        now=now,
        enquiry=enquiry,
    )
    rise = PriceRise.objects.create(
        from_name="hybrid_pro_month",
        to_lookup_key="hybrid_pro_month",
        to_price_id="price_1",
        notice_days=30,
        reason="costs rose",
        begun_at=now,
    )
    PriceRiseStep.objects.create(
        rise=rise,
        account=account,
        stripe_subscription_id="sub_1",
        stripe_item_id="si_1",
        old_price_id="price_0",
        old_amount=2900,
        new_amount=3500,
        currency="usd",
        quantity=1,
    )
    return subscription


def page(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer.content.decode()


def words(html):
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html).split()))


def press(client, model, action, *rows):
    url = reverse(f"admin:billing_{model}_changelist")
    answer = client.post(
        url, {"action": action, "_selected_action": [row.pk for row in rows], "index": 0}, follow=True
    )
    assert answer.status_code == 200
    return words(answer.content.decode())


def test_every_page_of_every_table_opens(everything, as_dana):
    opened = {}
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        page(as_dana, reverse(f"{name}_changelist"))
        page(as_dana, reverse(f"{name}_changelist"), q="a'; --")
        rows = list(model._default_manager.all()[:3])
        opened[model._meta.label] = len(rows)
        for row in rows:
            page(as_dana, reverse(f"{name}_change", args=[row.pk]))

    empty = {label for label, rows in opened.items() if not rows and label.startswith(("billing", "usage"))}
    assert empty == set(), "these were opened without a row to look at"
    assert opened["djstripe.Subscription"] == 2
    assert (
        opened["djstripe.Invoice"] and opened["djstripe.Customer"] and opened["djstripe.Charge"] is not None
    )


def test_the_index_of_the_staff_pages_speaks_of_several_as_english_does(as_dana):
    index = unescape(" ".join(re.sub(r"<[^>]+>", " ", as_dana.get("/staff/").content.decode()).split()))

    for words in (
        "Deliveries",
        "Credit entries",
        "API keys",
        "Enquiries",
        "Meter deliveries",
        "Email addresses",
    ):
        assert words in index
    assert not re.search(r"\b\w+(?<!Ke)(?<!ke)(?<!Da)(?<!da)ys\b", index)


def test_every_filter_of_what_was_bought_opens(everything, as_dana):
    for model in admin.site._registry:
        if model._meta.app_label != "billing":
            continue
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        links = {unescape(link) for link in re.findall(r'href="(\?[^"]+)"', page(as_dana, url))}
        for link in sorted(link for link in links if "o=" not in link):  # without those that only sort
            assert as_dana.get(url + link).status_code == 200, url + link


def test_of_the_mirrors_own_pages_only_the_eight_that_help_are_left():
    mirrored = {
        model._meta.model_name for model in admin.site._registry if model._meta.app_label == "djstripe"
    }

    assert mirrored == {
        "charge",
        "customer",
        "invoice",
        "paymentmethod",
        "price",
        "product",
        "refund",
        "subscription",
    }


LOOK_ONLY = [
    ("billing", "customer"),
    ("billing", "subscription"),
    ("billing", "payment"),
    ("billing", "checkoutintent"),
    ("billing", "trialredemption"),
    ("billing", "webhookevent"),
    ("billing", "webhookrejection"),
    ("billing", "effect"),
    ("billing", "alert"),
    ("djstripe", "subscription"),
    ("djstripe", "customer"),
    ("djstripe", "invoice"),
]


def test_books_and_mirrors_cannot_be_written_in_by_hand(everything, as_dana):
    tables = {(table._meta.app_label, table._meta.model_name): table for table in admin.site._registry}
    for room, model in LOOK_ONLY:
        row = tables[room, model]._default_manager.first()
        name = f"admin:{room}_{model}"

        assert as_dana.get(reverse(f"{name}_add")).status_code == 403
        change = reverse(f"{name}_change", args=[row.pk])
        assert as_dana.post(change, {"status": "canceled"}).status_code == 403
        delete = reverse(f"{name}_delete", args=[row.pk])
        assert as_dana.post(delete, {"post": "yes"}).status_code == 403
        assert "delete_selected" not in page(as_dana, reverse(f"{name}_changelist"))


def test_the_payments_page_speaks_of_dollars(everything, as_dana, account, alice):
    told = words(page(as_dana, reverse("admin:billing_payment_changelist")))

    assert "$0.00" in told
    assert Payment.objects.count() > 0


def test_sync_now_asks_stripe_and_puts_our_row_right(everything, as_dana, account):
    Subscription.objects.filter(pk=everything.pk).update(status="canceled", needs_review=True)

    told = press(as_dana, "subscription", "sync_now", everything)

    everything.refresh_from_db()
    assert "Alice & Co is as Stripe says." in told
    assert everything.status == "active"


def test_a_letter_is_read_again_when_staff_ask(letter, as_dana, settle):
    told = press(as_dana, "webhookevent", "replay", letter)

    letter.refresh_from_db()
    assert "will be read in a moment" in told
    assert letter.state == "received"
    settle()
    letter.refresh_from_db()
    assert letter.state == "processed"


def test_a_letters_words_are_shown_and_never_run(letter, as_dana):
    WebhookEvent.objects.filter(pk=letter.pk).update(payload={"name": "<script>alert(1)</script>"})

    html = page(as_dana, reverse("admin:billing_webhookevent_change", args=[letter.pk]))

    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_alert_is_resolved_once_and_by_name(alert, as_dana):
    press(as_dana, "alert", "resolve", alert)

    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert "Resolved" in words(page(as_dana, reverse("admin:billing_alert_history", args=[alert.pk])))


def test_an_effect_is_tried_again_or_settled_by_hand(mail_owed, as_dana):
    Effect.objects.filter(pk=mail_owed.pk).update(next_attempt_at=timezone.now() + timedelta(days=1))

    press(as_dana, "effect", "try_now", mail_owed)
    mail_owed.refresh_from_db()
    assert mail_owed.next_attempt_at <= timezone.now()

    press(as_dana, "effect", "settle", mail_owed)
    mail_owed.refresh_from_db()
    assert mail_owed.done_at is not None


def test_what_a_sync_owes_is_tried_again_by_a_sync(shop, as_dana, account, alice):
    subscription = buy(shop, account, alice, "hybrid_payg_tokens")
    owed = Effect.objects.create(
        key="duplicate:sub_gone",
        kind="duplicate_subscription",
        account=account,
        detail={"subscription": "sub_gone", "status": "active"},
        created_at=timezone.now(),
    )

    told = press(as_dana, "effect", "try_now", owed)

    owed.refresh_from_db()
    assert "will be tried in a moment" not in told
    assert "Alice & Co is as Stripe says." in told
    assert owed.done_at is not None
    subscription.refresh_from_db()
    assert subscription.is_live


def grant_form(account, **changes):
    return {
        "account": str(account.pk),
        "kind": "comped",
        "plan_key": "team",
        "overrides": "{}",
        "reason": "Our first customer",
        "starts_at_0": "",
        "starts_at_1": "",
        "until_0": "",
        "until_1": "",
        **changes,
    }


def test_a_plan_is_given_with_a_reason_and_counts_at_once(as_dana, dana, account):
    before = entitlements.of(account, now=clock.now(account))

    answer = as_dana.post("/staff/billing/plangrant/add/", grant_form(account))

    assert answer.status_code == 302, words(answer.content.decode())
    grant = PlanGrant.objects.get()
    rights = entitlements.of(account, now=clock.now(account))
    assert (grant.granted_by, grant.reason) == (dana, "Our first customer")
    assert (before.plan.key, rights.plan.key) == ("free", "team")
    assert rights.stamp != before.stamp


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"reason": ""}, "This field is required"),
        ({"plan_key": "gold"}, "Select a valid choice"),
        (
            {"overrides": '{"projcts": 4}'},
            "projcts cannot be granted by number. These can: members, projects.",
        ),
        ({"overrides": '{"projects": -1}'}, "projects must be a whole number from 0, or null for unlimited."),
        ({"overrides": '{"projects": 1.5}'}, "projects must be a whole number from 0"),
        ({"overrides": "[1]"}, "Write features and numbers in braces"),
        (
            {
                "starts_at_0": "2026-05-02",
                "starts_at_1": "00:00",
                "until_0": "2026-05-01",
                "until_1": "00:00",
            },
            "a_grant_ends_after_it_starts",
        ),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused_with_a_sentence(as_dana, account, wrong, sentence):
    answer = as_dana.post("/staff/billing/plangrant/add/", grant_form(account, **wrong))

    assert answer.status_code == 200
    assert sentence in words(answer.content.decode())
    assert not PlanGrant.objects.exists()


def test_a_deal_of_ones_own_numbers_is_given_and_changed(as_dana, account):
    as_dana.post("/staff/billing/plangrant/add/", grant_form(account, overrides='{"projects": 40}'))
    grant = PlanGrant.objects.get()
    assert entitlements.of(account, now=clock.now(account)).limit("projects") == 40
    stamp = entitlements.of(account, now=clock.now(account)).stamp

    changed = {"overrides": '{"projects": null}', "reason": "They grew", "until_0": "", "until_1": ""}
    answer = as_dana.post(f"/staff/billing/plangrant/{grant.pk}/change/", changed)

    assert answer.status_code == 302
    rights = entitlements.of(account, now=clock.now(account))
    assert rights.limit("projects") is None
    assert rights.stamp != stamp


def test_a_deal_may_give_what_its_plan_does_not_speak_of(as_dana, account, settings):
    settings.BILLING_CATALOG = "ocr"

    as_dana.post(
        "/staff/billing/plangrant/add/",
        grant_form(account, plan_key="free", overrides='{"ai_analyses": 20, "documents": null}'),
    )

    rights = entitlements.of(account, now=clock.now(account))
    given = rights.allowance("ai_analyses")
    assert given is not None and (given.quantity, given.per) == (20, "month")
    assert rights.allowance("documents").quantity is None
    receipt = metering.consume(
        account=account, feature="ai_analyses", units=3, idempotency_key="three", now=clock.now(account)
    )
    assert receipt.remaining == 17


def test_a_grant_cannot_be_made_to_end_before_it_started(as_dana, account):
    as_dana.post("/staff/billing/plangrant/add/", grant_form(account))
    grant = PlanGrant.objects.get()
    before = grant.starts_at - timedelta(days=2)

    answer = as_dana.post(
        f"/staff/billing/plangrant/{grant.pk}/change/",
        {
            "overrides": "{}",
            "reason": "Too early",
            "until_0": f"{before:%Y-%m-%d}",
            "until_1": f"{before:%H:%M}",
        },
    )

    assert answer.status_code == 200
    assert "It must be after the start" in words(answer.content.decode())
    grant.refresh_from_db()
    assert grant.until is None


def test_what_was_given_is_taken_back_and_not_deleted(as_dana, account):
    as_dana.post("/staff/billing/plangrant/add/", grant_form(account))
    grant = PlanGrant.objects.get()

    press(as_dana, "plangrant", "take_back", grant)

    grant.refresh_from_db()
    assert grant.revoked_at is not None
    assert entitlements.of(account, now=clock.now(account)).plan.key == "free"
    assert as_dana.post(f"/staff/billing/plangrant/{grant.pk}/delete/", {"post": "yes"}).status_code == 403


def test_staff_who_may_only_look_cannot_press_the_buttons(letter):
    viewer = factories.person(email="vera@example.com", name="Vera", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_webhookevent"))
    client = Client()
    client.force_login(viewer, backend="django.contrib.auth.backends.ModelBackend")

    press(client, "webhookevent", "replay", letter)

    letter.refresh_from_db()
    assert letter.state == "processed"
    assert client.get("/staff/billing/payment/").status_code == 403


def test_customers_who_are_not_staff_get_nowhere(as_alice):
    assert as_alice.get("/staff/billing/customer/").status_code == 302


def test_the_link_to_a_hosted_checkout_is_not_shown_to_staff(shop, as_dana, alice, account):
    intent = go_to_the_till(account, alice, "hybrid_payg_tokens")

    assert intent.url not in page(as_dana, f"/staff/billing/checkoutintent/{intent.pk}/change/")
    assert Customer.objects.filter(account=account).exists()


def test_sessions_are_listed_without_the_key_that_would_open_them(alice, as_dana):
    log_in(Client(), alice)
    [session] = UserSession.objects.filter(user=alice)

    html = page(as_dana, f"/staff/usersessions/usersession/{session.pk}/change/")

    assert alice.email in html
    assert session.session_key not in html
