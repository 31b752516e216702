"""What was written to us by hand, and by us to a person, goes with the account; the export has had it before."""

import io
import json
import re
import zipfile
from datetime import timedelta

import pytest
from django.apps import apps
from django.core import mail
from django.core.management import call_command
from django.test import Client

from accounts.models import Account
from billing import clock, effects
from billing.deals import accepting, offers
from billing.leaving import withdrawals
from billing.lifecycle import checkout, subscriptions
from billing.models import Alert, Customer, Effect, Enquiry, Offer, Payment, WebhookEvent, Withdrawal
from billing.stripe import gateway, mirror
from simulator.hosted import checkout as hosted
from tests import factories
from tests.accounts.conftest import acting_for
from tests.billing.shopping import buy, card, go_to_the_till, let_pass

pytestmark = pytest.mark.django_db(transaction=True)

ENQUIRY = {
    "name": "Wilhelmina Zobel",
    "email": "Mina@zobel.example",
    "company": "Zobel Brothers",
    "plan": "enterprise",
    "message": "Wilhelmina here, call me on 555-0199.",
    "website": "",
}
DECLARATION = {"name": "Wilhelmina Zobel", "email": "mina@zobel.example", "contract": "Zobel's plan"}
HERS = ("wilhelmina", "zobel", "555-0199")


@pytest.fixture
def shop(simulator, settings):
    settings.BILLING_CATALOG = "ocr"
    settings.STAFF_ALERT_EMAIL = "staff@example.com"
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def mina(shop):
    return factories.person(email="mina@zobel.example", name="Wilhelmina Zobel")


@pytest.fixture
def hers(mina):
    return mina.personal_account


@pytest.fixture
def as_mina(mina, hers):
    return acting_for(hers, mina)


def offer_to(account):
    now = clock.now(account)
    return offers.make(
        account=account,
        plan_key="enterprise",
        interval="year",
        seats=1,
        amount=12_000,
        recipient="mina@zobel.example",
        open_until=now + timedelta(days=14),
        now=now,
    )


def close(client, account):
    name = Account.objects.get(pk=account.pk).name
    return client.post("/account/close/", {"name": name}, follow=True).content.decode()


def rows_that_say(words):
    """Every row that says one of these words, dj-stripe's mirror of Stripe's objects included."""
    found = []
    for model in apps.get_models():
        for row in model.objects.values():
            said = json.dumps(row, default=str).lower()
            found += [f"{model.__name__}: {word} in {said}" for word in words if _says(said, word)]
    return found


def _says(row, word):
    """Digits count as a word of their own: chance has any four of them in an id or a time."""
    return re.search(rf"(?<![a-z0-9]){word}(?![a-z0-9])", row) if word.isdigit() else word in row


def exported(client):
    response = client.get("/account/export/")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    return {name: archive.read(name).decode() for name in archive.namelist()}


def test_what_i_wrote_agreed_and_withdrew_is_in_the_export_and_then_nowhere(shop, settle, as_mina, hers):
    Client().post("/contact/", ENQUIRY)  # before she had a log-in
    as_mina.post("/contact/", {**ENQUIRY, "message": "Mina Zobel once more"})
    agreed = offer_to(hers)
    accepting.accept(offer=agreed, name="Wilhelmina Zobel", email="mina@zobel.example", now=clock.now(hers))
    withdrawals.declare(**DECLARATION, account=None, now=clock.wall(), is_settled=True)
    effects.deliver_owed(now=clock.wall())
    offer_to(hers)  # whose mail has not left yet
    settle()
    assert any("zobel" in json.dumps(letter.payload) for letter in WebhookEvent.objects.all())

    taken_along = exported(as_mina)
    assert taken_along["enquiries.jsonl"].count("call me on 555-0199") == 1
    assert "Mina Zobel once more" in taken_along["enquiries.jsonl"]
    assert "Wilhelmina Zobel" in taken_along["offers.jsonl"]
    assert "Zobel's plan" in taken_along["withdrawals.jsonl"]
    assert offers.link(agreed) in taken_along["mails.jsonl"]
    assert "nonce" not in taken_along["offers.jsonl"]

    owed = Payment.objects.get(account=hers, status="open")
    gateway.post(f"/v1/invoices/{owed.stripe_invoice_id}/void", idempotency_key="written-off")  # by staff
    assert "The account is closed" in close(as_mina, hers)
    mail.outbox.clear()
    effects.deliver_owed(now=clock.wall() + timedelta(minutes=1))
    settle()

    assert [sent.subject for sent in mail.outbox if "offer" in sent.subject.lower()] == []
    assert sum("is closed" in sent.subject for sent in mail.outbox) == 1
    assert rows_that_say(HERS) == []
    agreed.refresh_from_db()
    assert (agreed.amount, agreed.state, agreed.plan_key) == (12_000, "accepted", "enterprise")
    assert agreed.accepted_at
    assert Offer.objects.exclude(pk=agreed.pk).get().state == "withdrawn"
    assert set(Enquiry.objects.values_list("plan_key", "state")) == {("enterprise", "lost")}
    assert not Alert.objects.filter(kind="enquiry", resolved_at=None).exists()
    assert Withdrawal.objects.get().reference


def test_an_address_that_is_not_proven_to_be_mine_erases_nothing_of_others(shop, client, as_mina, hers, mina):
    client.post("/contact/", {**ENQUIRY, "email": "erika@example.com", "name": "Erika"})
    mina.emailaddress_set.create(email="erika@example.com", verified=False)

    assert "Erika" not in exported(as_mina)["enquiries.jsonl"]
    close(as_mina, hers)

    assert Enquiry.objects.get().name == "Erika"


def test_a_withdrawal_that_waits_keeps_its_address_until_it_is_answered(shop, client, as_mina, hers):
    client.post("/withdraw/", DECLARATION)
    waiting = Withdrawal.objects.get()
    assert (
        f"withdrawal {waiting.reference} is not answered yet"
        in as_mina.get("/account/close/").content.decode()
    )

    close(as_mina, hers)
    waiting.refresh_from_db()
    assert waiting.email == "mina@zobel.example"
    withdrawals.decide(
        withdrawal=waiting, is_granted=False, note="It was too late, Mina Zobel.", now=clock.wall()
    )
    effects.deliver_owed(now=clock.wall())

    said = [sent.subject for sent in mail.outbox if sent.to == ["mina@zobel.example"]]
    assert f"Your withdrawal {waiting.reference} has reached us" in said
    assert f"About your withdrawal {waiting.reference}" in said
    assert rows_that_say(HERS) == []
    waiting.refresh_from_db()
    assert (waiting.state, waiting.settled_at is None) == ("declined", False)


def test_an_organizations_words_go_and_its_people_keep_their_own(shop, mina, alice):
    zobel = factories.organization(owner=alice, name="Zobel Brothers", billing_email="money@zobel.example")
    client = acting_for(zobel, alice)
    client.post("/contact/", {**ENQUIRY, "email": alice.email})
    Client().post("/contact/", {**ENQUIRY, "name": "Alice", "email": alice.email, "message": "Of my own"})

    close(client, zobel)
    effects.deliver_owed(now=clock.wall())

    assert set(Enquiry.objects.values_list("message", flat=True)) == {"", "Of my own"}
    assert Effect.objects.get(key__startswith="closed:").detail == {}


def test_the_demos_mailbox_forgets_the_account_too(shop, settings, tmp_path, as_mina, hers, alice):
    settings.DEMO = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    offer_to(hers)
    withdrawals.declare(name="Alice", email=alice.email, contract="", account=None, now=clock.wall())
    effects.deliver_owed(now=clock.wall())
    assert "Wilhelmina" in as_mina.get("/demo/mailbox/").content.decode()

    close(as_mina, hers)

    page = as_mina.get("/demo/mailbox/").content.decode()
    assert "Wilhelmina" not in page
    assert f"To {alice.email}" in page


def test_the_receipt_of_closing_says_the_time_the_account_lives_in(shop, as_mina, hers, mina):
    buy(shop, hers, mina, "ocr_pro_month")
    later = clock.now(hers) + timedelta(days=400)
    let_pass(hers, later)

    close(as_mina, hers)
    effects.deliver_owed(now=clock.wall())

    receipt = next(sent for sent in mail.outbox if "is closed" in sent.subject)
    assert f"was closed on {clock.now(hers):%-d %B %Y} at {clock.now(hers):%H:%M} UTC" in receipt.body
    hers.refresh_from_db()
    assert hers.closed_at == clock.now(hers)


def test_what_i_wrote_for_an_organization_stays_open_without_my_name(shop, as_mina, hers, mina, alice):
    zobel = factories.organization(owner=alice, name="Alice & Co")
    factories.MemberFactory(account=zobel, user=mina, role="admin")
    for_the_organization = acting_for(zobel, mina)
    for_the_organization.post(
        "/contact/", {**ENQUIRY, "company": "Alice & Co", "message": "Ask Wilhelmina Zobel: forty seats?"}
    )

    close(as_mina, hers)
    effects.deliver_owed(now=clock.wall())

    asked = Enquiry.objects.get()
    assert (asked.state, asked.account, asked.company) == ("new", zobel, "Alice & Co")
    assert (asked.email, asked.message) == (alice.email, "Ask A former member: forty seats?")
    assert Alert.objects.filter(kind="enquiry", resolved_at=None).exists()
    assert rows_that_say(HERS) == []


def test_an_organizations_mail_to_me_still_leaves_for_it_and_is_then_forgotten(
    shop, as_mina, hers, mina, alice
):
    zobel = factories.organization(owner=alice, name="Alice & Co")
    factories.MemberFactory(account=zobel, user=mina, role="admin")
    now = clock.now(zobel)
    offer = offers.make(
        account=zobel,
        plan_key="enterprise",
        interval="year",
        seats=1,
        amount=12_000,
        recipient=mina.email,
        open_until=now + timedelta(days=14),
        now=now,
    )

    close(as_mina, hers)

    owed = Effect.objects.get(key__startswith="mail:offer:")
    assert (owed.account, owed.done_at) == (zobel, None)
    effects.deliver_owed(now=clock.wall())
    assert any(offers.link(offer) in sent.body for sent in mail.outbox)
    owed.refresh_from_db()
    assert owed.detail == {}


def test_my_withdrawal_for_an_organization_goes_once_it_is_decided(shop, as_mina, hers, mina, alice):
    zobel = factories.organization(owner=alice, name="Alice & Co")
    withdrawals.declare(**DECLARATION, account=zobel, now=clock.wall())
    opened_by_staff = Withdrawal.objects.get()

    close(as_mina, hers)
    withdrawals.decide(withdrawal=opened_by_staff, is_granted=True, note="", now=clock.wall())
    effects.deliver_owed(now=clock.wall())

    said = [sent.subject for sent in mail.outbox if sent.to == ["mina@zobel.example"]]
    assert f"About your withdrawal {opened_by_staff.reference}" in said
    assert Withdrawal.objects.get().account == zobel
    assert rows_that_say(HERS) == []


def test_the_mirror_of_stripes_objects_forgets_who_paid_and_keeps_what_was_paid(
    shop, settle, as_mina, hers, mina, as_dana
):
    intent = go_to_the_till(hers, mina, "ocr_pro_month")
    hosted.pay(shop, intent.stripe_session_id, card=card(), email=mina.email, name="Wilhelmina Zobel")
    checkout.complete(account=hers, session_id=intent.stripe_session_id)
    customer = Customer.objects.get(account=hers).stripe_customer_id
    lives_at = {"line1": "Zobelgasse 7", "city": "Graz", "postal_code": "8010", "country": "AT"}
    gateway.post(
        f"/v1/customers/{customer}",
        {
            "address": lives_at,
            "phone": "555-0199",
            "description": "Mina Zobel, by phone",
            "shipping": {"name": "W. Zobel", "address": lives_at},
            "metadata": {"known_as": "Mina Zobel"},
        },
        idempotency_key="address",
    )
    let_pass(hers, clock.now(hers) + timedelta(days=40))
    subscriptions.sync(account=hers, reason="test")
    charge = Payment.objects.filter(account=hers).exclude(stripe_charge_id="").first().stripe_charge_id
    gateway.post("/v1/refunds", {"charge": charge, "amount": 100}, idempotency_key="refund")
    settle()
    said = rows_that_say(HERS)
    assert {"Customer", "Invoice", "Charge", "PaymentMethod"} <= {row.split(":")[0] for row in said}
    paid = {row.id: row.stripe_data["amount_paid"] for row in mirror.TABLES["invoice"].objects.all()}

    close(as_mina, hers)
    effects.deliver_owed(now=clock.wall() + timedelta(minutes=1))
    # What came later asks Stripe once more, and Stripe has not forgotten.
    gateway.post(f"/v1/customers/{customer}", {"phone": "555-0199-2", "balance": -5}, idempotency_key="later")
    settle()

    assert mirror.TABLES["customer"].objects.get(id=customer).stripe_data["balance"] == -5
    assert not Alert.objects.filter(kind="mirror_failed").exists()
    assert rows_that_say([*HERS, "4242", "8010"]) == []
    kept = {row.id: row.stripe_data for row in mirror.TABLES["invoice"].objects.all()}
    assert {name: document["amount_paid"] for name, document in kept.items()} == paid
    assert all(document["number"] and document["lines"]["data"] for document in kept.values())
    for kind, table in mirror.TABLES.items():
        for row in table.objects.all():
            page = as_dana.get(f"/staff/djstripe/{kind.replace('_', '')}/{row.pk}/change/")
            assert (page.status_code, kind) == (200, kind)
        assert as_dana.get(f"/staff/djstripe/{kind.replace('_', '')}/").status_code == 200


def test_the_card_that_was_forgotten_with_the_account_does_not_come_back_by_a_late_letter(
    shop, settle, as_mina, hers, mina
):
    bought = buy(shop, hers, mina, "ocr_pro_month")
    customer = Customer.objects.get(account=hers)
    paid_with = gateway.get(f"/v1/subscriptions/{bought.stripe_subscription_id}")["default_payment_method"]
    path = f"/v1/customers/{customer.stripe_customer_id}"
    gateway.post(
        path, {"invoice_settings": {"default_payment_method": paid_with}}, idempotency_key="pays-with"
    )
    settle()
    customer.refresh_from_db()
    assert customer.card_last4 == "4242"
    assert customer.card_digest

    close(as_mina, hers)
    gateway.post(path, {"phone": "555-0199"}, idempotency_key="late")
    settle()
    subscriptions.sync(account=hers, reason="test")

    customer.refresh_from_db()
    assert (customer.card_brand, customer.card_last4, customer.card_digest) == ("", "", "")
    assert (customer.card_exp_month, customer.card_exp_year) == (None, None)


def test_what_was_sold_and_how_it_hangs_together_stays_in_the_mirror(shop, settle, as_mina, hers, mina):
    bought = buy(shop, hers, mina, "ocr_pro_month")
    let_pass(hers, clock.now(hers) + timedelta(days=40))
    subscriptions.sync(account=hers, reason="test")
    settle()
    before = {row.id: row.stripe_data for row in mirror.TABLES["invoice"].objects.all()}
    assert before

    close(as_mina, hers)
    settle()

    for name, invoice in before.items():
        kept = mirror.TABLES["invoice"].objects.get(id=name).stripe_data
        assert kept["parent"]["subscription_details"] == invoice["parent"]["subscription_details"]
        assert kept["parent"]["subscription_details"]["subscription"] == bought.stripe_subscription_id
        assert [paid["payment"] for paid in kept["payments"]["data"]] == [
            paid["payment"] for paid in invoice["payments"]["data"]
        ]
        for line, said in zip(kept["lines"]["data"], invoice["lines"]["data"], strict=True):
            assert line["pricing"] == said["pricing"]
            assert line["pricing"]["price_details"]["price"]
            assert line["parent"] == said["parent"]
            assert line["parent"]["subscription_item_details"]["subscription_item"]
    for charge in mirror.TABLES["charge"].objects.all():
        assert charge.stripe_data["payment_method_details"]["card"] == {"brand": "visa"}
    for method in mirror.TABLES["payment_method"].objects.all():
        assert method.stripe_data["card"] == {"brand": "visa"}
