"""Taking one's data along and closing the account: Stripe first, nothing personal left, the books as they were."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client

from accounts import api_keys, members
from accounts.models import Invitation, Member, User
from billing import clock, effects, entitlements
from billing.lifecycle import subscriptions
from billing.models import Customer, Payment, Subscription
from billing.stripe import gateway
from simulator.hosted.outcome import NotOpen
from tests import factories
from tests.accounts.conftest import acting_for
from tests.billing.shopping import DECLINED_LATER, at_stripe, buy, change_card, go_to_the_till, let_pass, pay
from usage import metering
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

# Is charged, and the charge is disputed right after.
DISPUTED_LATER = "4000000000000259"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def kaboot(simulator, settings):
    settings.BILLING_CATALOG = "kaboot"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def alice_at_work(alice, account):
    return acting_for(account, alice)


def close(client, name="Alice & Co"):
    return client.post("/account/close/", {"name": name}, follow=True)


def test_closing_ends_the_plan_at_stripe_erases_what_is_personal_and_leaves_a_receipt(
    kaboot, alice_at_work, account, alice, bob
):
    buy(kaboot, account, alice, "kaboot_pro_month")
    metering.consume(account=account, feature="ai_generations", idempotency_key="one", now=clock.wall())
    _, key_text = api_keys.issue(kind="account", account=account, name="Alice's laptop", now=clock.wall())
    members.invite(
        account=account,
        email="c@example.com",
        role="member",
        by=account.members.get(user=alice),
        now=clock.wall(),
    )
    asked = alice_at_work.get("/account/close/").content.decode()
    assert "1 other person loses access at once" in asked

    page = close(alice_at_work).content.decode()

    assert "The account is closed" in page
    assert [sub["status"] for sub in at_stripe(kaboot, account, "subscription")] == ["canceled"]
    account.refresh_from_db()
    assert (account.name, account.billing_email, account.closed_at is None) == ("Closed account", "", False)
    assert not Member.objects.filter(account=account).exists()
    assert not Invitation.objects.filter(account=account).exists()
    assert api_keys.find(key_text=key_text, now=clock.wall()) is None
    assert UsageRecord.objects.get(account=account).units == 1
    assert Payment.objects.get(account=account).amount_paid == 500
    effects.deliver_owed(now=clock.wall())
    receipt = next(sent for sent in mail.outbox if "is closed" in sent.subject)
    assert receipt.to == ["alice@example.com"]
    assert "nothing more will be charged" in receipt.body
    assert "1 invoice" in receipt.body


def test_as_long_as_stripe_does_not_answer_nothing_is_erased(
    kaboot, alice_at_work, account, alice, monkeypatch
):
    buy(kaboot, account, alice, "kaboot_pro_month")

    def away(*_, **__):
        raise gateway.StripeUnavailable("no answer", outcome_unknown=True)

    with monkeypatch.context() as broken:
        broken.setattr(gateway, "delete", away)
        page = close(alice_at_work).content.decode()

    assert "not certain that nothing more is charged" in page
    account.refresh_from_db()
    assert account.closed_at is None
    assert Member.objects.filter(account=account, user=alice).exists()
    assert "The account is closed" in close(alice_at_work).content.decode()


def test_an_open_invoice_is_paid_before_the_account_is_closed(kaboot, alice_at_work, account, alice):
    subscription = buy(kaboot, account, alice, "kaboot_pro_month")
    change_card(kaboot, account, DECLINED_LATER)
    assert subscription.current_period_end
    let_pass(account, subscription.current_period_end + timedelta(hours=2))

    page = close(alice_at_work).content.decode()

    assert "an invoice is open" in page
    assert "Pay $5.00" in page
    account.refresh_from_db()
    assert account.closed_at is None
    assert not Subscription.objects.live().filter(account=account).exists()


def test_an_invoice_that_is_still_being_written_is_charged_before_the_account_is_closed(
    kaboot, alice_at_work, account, alice
):
    buy(kaboot, account, alice, "kaboot_pro_month")
    customer = Customer.objects.get(account=account).stripe_customer_id
    subscriptions.cancel_now(account=account)
    # As staff bill units that no invoice had: a draft that Stripe finishes and charges by itself.
    draft = gateway.post(
        "/v1/invoices", {"customer": customer, "auto_advance": True}, idempotency_key="staff-invoice"
    )
    gateway.post(
        "/v1/invoiceitems",
        {"customer": customer, "invoice": draft["id"], "amount": 3000, "currency": "usd"},
        idempotency_key="staff-item",
    )

    page = close(alice_at_work).content.decode()

    assert "An invoice over $30.00 is being written and will be charged" in page
    account.refresh_from_db()
    assert account.closed_at is None
    gateway.post(f"/v1/invoices/{draft['id']}/pay", {"paid_out_of_band": True}, idempotency_key="bank")
    assert "The account is closed" in close(alice_at_work).content.decode()


def test_a_dispute_is_decided_before_the_account_is_closed(kaboot, settle, alice_at_work, account, alice):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, DISPUTED_LATER)
    settle()

    page = close(alice_at_work).content.decode()

    assert "A bank has asked for a payment back, and that is not decided yet" in page
    account.refresh_from_db()
    assert account.closed_at is None
    assert Subscription.objects.live().filter(account=account).exists()
    [dispute] = list(gateway.pages("/v1/disputes", {}, at_most=1))
    gateway.post(f"/v1/disputes/{dispute['id']}/close", idempotency_key="given-up")
    settle()
    assert "The account is closed" in close(alice_at_work).content.decode()


def test_a_second_dispute_is_decided_too_when_an_earlier_one_was_lost(
    kaboot, settle, alice_at_work, account, alice
):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")
    pay(kaboot, intent, DISPUTED_LATER)
    settle()
    # As the books say when another payment's dispute was lost before.
    Customer.objects.filter(account=account).update(dispute_state="lost")

    page = close(alice_at_work).content.decode()

    assert "A bank has asked for a payment back, and that is not decided yet" in page
    account.refresh_from_db()
    assert account.closed_at is None


def test_a_plan_in_order_is_not_ended_over_an_invoice_beside_it(kaboot, alice_at_work, account, alice):
    buy(kaboot, account, alice, "kaboot_pro_month")
    customer = Customer.objects.get(account=account).stripe_customer_id
    invoice = gateway.post(
        "/v1/invoices",
        {"customer": customer, "collection_method": "send_invoice", "days_until_due": 30},
        idempotency_key="staff-invoice",
    )
    gateway.post(
        "/v1/invoiceitems",
        {"customer": customer, "invoice": invoice["id"], "amount": 3000, "currency": "usd"},
        idempotency_key="staff-item",
    )
    gateway.post(f"/v1/invoices/{invoice['id']}/finalize", idempotency_key="staff-finalize")

    page = close(alice_at_work).content.decode()

    assert "An invoice is open, so nothing was ended or changed." in page
    assert "Pay $30.00" in page
    assert Subscription.objects.live().filter(account=account).exists()
    gateway.post(f"/v1/invoices/{invoice['id']}/pay", {"paid_out_of_band": True}, idempotency_key="bank")
    assert "The account is closed" in close(alice_at_work).content.decode()


def test_a_till_that_was_left_open_cannot_be_paid_after_closing(kaboot, alice_at_work, account, alice):
    intent = go_to_the_till(account, alice, "kaboot_pro_month")

    close(alice_at_work)

    assert gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")["status"] == "expired"
    with pytest.raises(NotOpen):
        pay(kaboot, intent)


@pytest.mark.parametrize("typed", ["", "alice & co", "Charlie Ltd"])
def test_another_name_closes_nothing(kaboot, alice_at_work, account, typed):
    page = close(alice_at_work, typed)

    assert page.status_code == 422
    assert "Type the account&#x27;s name" in page.content.decode()
    account.refresh_from_db()
    assert account.closed_at is None


def test_admins_members_and_strangers_cannot_close(kaboot, account, bob, as_charlie):
    assert close(acting_for(account, bob)).status_code == 403
    assert close(as_charlie).status_code == 422  # of an account of their own, whose name is another
    assert Client().post("/account/close/", {"name": account.name}).status_code == 302
    account.refresh_from_db()
    assert account.closed_at is None


@pytest.mark.parametrize("path", ["/account/close/", "/account/export/"])
def test_an_admin_is_told_that_only_an_owner_closes_and_exports(kaboot, account, bob, path):
    account.members.filter(user=bob).update(role="admin")

    page = acting_for(account, bob).get(path)

    assert page.status_code == 403
    said = page.content.decode()
    assert "Only owners can do this" in said
    assert "You are an admin of Alice &amp; Co. Ask <strong>Alice</strong>: they can do it" in said


def test_closing_the_personal_account_takes_the_person_along(kaboot, as_charlie, charlie):
    personal = charlie.personal_account

    page = close(as_charlie, personal.name).content.decode()

    assert "The account is closed" in page
    charlie.refresh_from_db()
    assert (charlie.is_active, charlie.name) == (False, "")
    assert charlie.email.endswith("@closed.invalid")
    assert as_charlie.get("/account/").status_code == 302  # logged out
    factories.person(email="charlie@example.com", name="Charlie again")  # the address is free
    assert User.objects.filter(email="charlie@example.com").count() == 1


def test_the_only_owner_of_an_organization_is_told_to_hand_it_over_first(kaboot, as_alice, alice, account):
    asked = as_alice.get("/account/close/")
    assert asked.status_code == 200
    assert "You are the only owner of Alice &amp; Co" in asked.content.decode()

    page = close(as_alice, alice.personal_account.name).content.decode()

    assert "You are the only owner of Alice &amp; Co" in page
    mistyped = close(as_alice, "Alise").content.decode()
    assert "You are the only owner of Alice &amp; Co" in mistyped
    assert "Type the account&#x27;s name" in mistyped
    alice.refresh_from_db()
    assert alice.is_active


def test_a_product_that_asks_for_a_closed_account_is_told_no(kaboot, alice_at_work, account):
    close(alice_at_work)

    rights = entitlements.of(account, now=clock.wall())

    assert rights.is_blocked
    with pytest.raises(metering.FeatureNotIncluded):
        metering.consume(account=account, feature="ai_generations", idempotency_key="late", now=clock.wall())


def test_closing_twice_is_closing_once(kaboot, alice_at_work, account):
    close(alice_at_work)

    again = close(alice_at_work)

    assert again.status_code in (200, 422)  # now of the personal account, whose name was not typed
    effects.deliver_owed(now=clock.wall())
    assert sum("is closed" in sent.subject for sent in mail.outbox) == 1


def test_i_take_everything_along_as_an_archive(kaboot, alice_at_work, account, alice, bob):
    buy(kaboot, account, alice, "kaboot_pro_month")
    for number in range(3):
        metering.consume(
            account=account,
            feature="ai_generations",
            idempotency_key=f"act-{number}",
            now=clock.wall(),
            user=bob,
        )
    _, key_text = api_keys.issue(kind="account", account=account, name="CI", now=clock.wall())
    other = factories.organization(owner=bob, name="Not Alice's")
    metering_of_others = factories.person(email="erin@example.com")

    response = alice_at_work.get("/account/export/")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))

    assert archive.testzip() is None
    assert json.loads(archive.read("account.json"))["account"]["name"] == "Alice & Co"
    acts = [json.loads(line) for line in archive.read("usage.jsonl").splitlines()]
    assert [act["idempotency_key"] for act in acts] == ["act-0", "act-1", "act-2"]
    assert b'"amount_paid":500' in archive.read("payments.jsonl")
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert key_text.encode() not in everything
    assert b"digest" not in everything
    assert str(other.pk).encode() not in everything
    assert metering_of_others.email.encode() not in everything


def test_only_the_owner_takes_the_data_along(account, bob):
    assert acting_for(account, bob).get("/account/export/").status_code == 403
    assert Client().get("/account/export/").status_code == 302
