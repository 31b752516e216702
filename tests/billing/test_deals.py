"""A contract: asked for by a form, offered by staff with a link, accepted once, paid by invoice, renewed."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Notification
from billing import clock, entitlements, suspension
from billing.access import Level
from billing.deals import accepting, agreed, offers
from billing.lifecycle import customers, subscriptions
from billing.messages import reminders
from billing.models import Alert, Effect, Enquiry, Offer, Payment, Subscription
from billing.stripe import gateway
from simulator.hosted import invoices as hosted_invoice
from tests.billing.changing import change
from tests.billing.shopping import at_stripe, buy, card, let_pass

pytestmark = pytest.mark.django_db(transaction=True)
CONTACT = "/contact/"
OFFERS, ENQUIRIES = "/staff/billing/offer/", "/staff/billing/enquiry/"


@pytest.fixture(autouse=True)
def nobody_has_written_yet() -> None:
    cache.clear()


def asked(**other: Any) -> dict[str, Any]:
    return {
        "name": "Grace Hopper",
        "email": "grace@navy.example",
        "company": "Navy",
        "plan": "enterprise",
        "seats": "40",
        "message": "We compile all day.",
        "website": "",
        **other,
    }


def offer_to(account: Account, **other: Any) -> Offer:
    now = clock.now(account)
    wanted: dict[str, Any] = {
        "plan_key": "enterprise",
        "interval": "year",
        "seats": 40,
        "amount": 12_000,
        "recipient": "grace@navy.example",
        "open_until": now + timedelta(days=14),
        "days_until_due": 30,
        "overrides": {"projects": 25},
        "terms": "Support by telephone",
        "periods": 2,
    }
    return offers.make(account=account, now=now, **(wanted | other))


def page_of(offer: Offer) -> str:
    offer.refresh_from_db()
    return "/" + offers.link(offer).split("/", 3)[3]


def said(answer: Any) -> str:
    return " ".join(unescape(answer.content.decode()).split())


@pytest.fixture
def at_work(as_alice: Client, account: Account) -> Client:
    """Alice's browser, acting for her organization."""
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    return as_alice


YES = {"name": "Grace Hopper", "email": "grace@navy.example", "agrees": "on"}


# --- The form -----------------------------------------------------------------------------------------------


def test_anybody_can_ask_for_a_contract_and_staff_find_it_in_their_queue(client, as_dana):
    answer = client.post(CONTACT, asked(), follow=True)

    assert "We have your message" in said(answer)
    enquiry = Enquiry.objects.get()
    assert (enquiry.seats, enquiry.plan_key, enquiry.state, enquiry.account) == (
        40,
        "enterprise",
        "new",
        None,
    )
    assert Alert.objects.filter(kind="enquiry").count() == 1
    mail = Effect.objects.get(kind="mail")
    assert mail.detail["to"] == "sales@transformer.example"
    assert "We compile all day." in mail.detail["body"]
    queue = said(as_dana.get(f"{ENQUIRIES}{enquiry.pk}/change/"))
    assert "We compile all day." in queue
    assert "Make an offer" in queue


def test_the_price_list_leads_to_the_form_about_that_plan(client):
    assert f"{CONTACT}?plan=enterprise" in said(client.get("/pricing/"))
    assert '<option value="enterprise" selected>' in said(client.get(f"{CONTACT}?plan=enterprise"))


def test_who_is_logged_in_need_not_say_who_they_are_and_it_is_kept_for_their_account(as_alice, account):
    page = said(as_alice.get(CONTACT))
    assert 'value="alice@example.com"' in page
    as_alice.post(CONTACT, asked())

    assert Enquiry.objects.get().account is not None


def test_pressing_send_twice_is_one_enquiry(client):
    client.post(CONTACT, asked())
    client.post(CONTACT, asked())

    assert Enquiry.objects.count() == 1
    assert Effect.objects.filter(kind="mail").count() == 1


def test_a_machine_that_fills_in_everything_is_thanked_and_forgotten(client):
    answer = client.post(CONTACT, asked(website="https://spam.example"), follow=True)

    assert "We have your message" in said(answer)
    assert not Enquiry.objects.exists()


def test_who_writes_all_the_time_is_asked_to_wait_and_keeps_their_words(client):
    for number in range(5):
        client.post(CONTACT, asked(message=f"Message {number}"))
    answer = client.post(CONTACT, asked(message="One more"))

    assert answer.status_code == 422
    assert "Try again in an hour" in said(answer)
    assert "One more" in said(answer)
    assert Enquiry.objects.count() == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("email", "not an address"),
        ("seats", "-3"),
        ("seats", "many"),
        ("message", ""),
        ("message", "x" * 4001),
        ("plan", "free"),
        ("plan", "no_such_plan"),
    ],
)
def test_what_is_missing_or_wrong_is_said_beside_its_field(client, field, value):
    answer = client.post(CONTACT, asked(**{field: value}))

    assert answer.status_code == 422
    assert f"#id_{field}" in said(answer)
    assert not Enquiry.objects.exists()


# --- Staff make an offer ------------------------------------------------------------------------------------


def typed(account: Account, **other: Any) -> dict[str, Any]:
    until = clock.now(account) + timedelta(days=14)
    return {
        "account": str(account.pk),
        "enquiry": "",
        "plan_key": "enterprise",
        "interval": "year",
        "seats": "40",
        "price": "120.00",
        "periods": "2",
        "days_until_due": "30",
        "trial_days": "0",
        "overrides": json.dumps({"projects": 25}),
        "terms": "Support by telephone",
        "open_until_0": f"{until:%Y-%m-%d}",
        "open_until_1": "12:00:00",
        "recipient": "grace@navy.example",
        **other,
    }


def test_staff_make_an_offer_from_an_enquiry_and_the_link_leaves_by_mail(
    shop, as_dana, account, client, dana
):
    client.post(CONTACT, asked())
    enquiry = Enquiry.objects.get()
    assert as_dana.get(f"{OFFERS}add/?enquiry={enquiry.pk}&plan_key=enterprise&seats=40").status_code == 200

    answer = as_dana.post(f"{OFFERS}add/", typed(account, enquiry=str(enquiry.pk)), follow=True)

    assert answer.status_code == 200, said(answer)[:3000]
    assert "The offer “enterprise for Alice & Co (organization) (Open)” was added successfully." in re.sub(
        "<[^>]+>", "", said(answer)
    )
    offer = Offer.objects.get()
    assert (offer.amount, offer.seats, offer.currency, offer.made_by) == (12_000, 40, "usd", dana)
    assert agreed.total(offer) == 480_000
    mail = Effect.objects.get(key__startswith="mail:offer:")
    assert mail.detail["to"] == "grace@navy.example"
    assert offers.link(offer) in mail.detail["body"]
    assert "$4,800.00 a year" in mail.detail["body"]
    enquiry.refresh_from_db()
    assert enquiry.state == "offered"
    page = said(as_dana.get(f"{OFFERS}{offer.pk}/change/"))
    assert offers.link(offer) in page


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seats": "0"}, "Offer from 1 to"),
        ({"price": "-1"}, "more than nothing"),
        ({"price": "0"}, "more than nothing"),
        ({"price": "1.005"}, "At most 2 digits"),
        ({"price": ""}, "no price by the year"),
        ({"periods": "0"}, "1 to 60 periods"),
        ({"days_until_due": "400"}, "from 1 to 180 days"),
        ({"open_until_0": "2001-01-01"}, "stay open for a while"),
        ({"overrides": '{"moons": 3}'}, "cannot be granted by number"),
        ({"recipient": "nobody"}, "valid email"),
        ({"plan_key": "free"}, "Select a valid choice"),
        ({"plan_key": "pro", "price": "10"}, "is for persons"),
    ],
)
def test_an_offer_that_cannot_be_meant_is_refused_with_a_sentence(as_dana, account, wrong, words):
    answer = as_dana.post(f"{OFFERS}add/", typed(account, **wrong))

    assert answer.status_code == 200
    assert words in said(answer)
    assert not Offer.objects.exists()
    assert not Effect.objects.filter(kind="mail").exists()


def test_the_price_list_s_own_price_can_be_offered_with_its_steps(shop, account, settings):
    offer = offer_to(account, plan_key="team", interval="month", seats=5, amount=None, overrides={})

    assert agreed.total(offer) == 5 * 1900
    accepting.accept(offer=offer, name="G", email="g@navy.example", now=clock.now(account))
    subscription = Subscription.objects.live().get()
    assert (subscription.price_lookup_key, subscription.quantity) == ("hybrid_team_month", 5)


# --- The link -----------------------------------------------------------------------------------------------


def test_the_page_shows_all_that_is_agreed_before_anything_is_pressed(shop, account, client):
    page = said(client.get(page_of(offer_to(account))))

    for words in (
        "Enterprise for Alice & Co",
        "$4,800.00 a year",
        "40 seats at $120.00",
        "2 years",
        "due 30 days after",
        "25 projects",
        "Support by telephone",
        "Accept for $4,800.00 a year",
    ):
        assert words in page
    assert not Subscription.objects.exists()


def test_a_link_cannot_be_guessed_or_changed_and_an_old_one_is_dead(shop, account, client, as_dana):
    offer = offer_to(account)
    first = page_of(offer)

    assert client.get("/offer/1/").status_code == 404
    assert client.get(first[:-3] + "x/").status_code == 404
    as_dana.post(OFFERS, {"action": "send_again", "_selected_action": [str(offer.pk)]})
    assert client.get(first).status_code == 404
    assert client.get(page_of(offer)).status_code == 200


def test_an_accepted_offer_is_a_subscription_paid_by_invoice_with_its_own_limits(
    shop, account, alice, client
):
    offer = offer_to(account)

    answer = client.post(page_of(offer), YES, follow=True)

    assert "It is agreed" in said(answer)
    assert "See and pay the invoice" in said(answer)
    offer.refresh_from_db()
    assert (offer.state, offer.accepted_name) == ("accepted", "Grace Hopper")
    subscription = Subscription.objects.live().get(account=account)
    assert subscription.offer == offer
    assert (subscription.plan_key, subscription.quantity, subscription.needs_review) == (
        "enterprise",
        40,
        False,
    )
    assert subscription.collection_method == "send_invoice"
    invoice = Payment.objects.get(account=account)
    assert (invoice.status, invoice.amount_due) == ("open", 480_000)
    assert invoice.due_at - invoice.created_at >= timedelta(days=29)
    rights = entitlements.of(account, now=clock.now(account))
    assert (rights.plan.key, rights.level, rights.limit("projects")) == ("enterprise", Level.FULL, 25)
    assert rights.limit("members") is None


def test_an_enquiry_whose_offer_is_accepted_is_won(shop, account, client):
    client.post(CONTACT, asked())
    offer = offer_to(account, enquiry=Enquiry.objects.get())
    client.post(page_of(offer), YES)

    assert Enquiry.objects.get().state == "won"


def test_two_windows_accept_once(shop, account, client):
    offer = offer_to(account)
    page = page_of(offer)

    first, second = client.post(page, YES), Client().post(page, YES | {"name": "Somebody Else"})

    assert (first.status_code, second.status_code) == (302, 302)
    assert len(at_stripe(shop, account, "subscription")) == 1
    assert len(at_stripe(shop, account, "invoice")) == 1
    offer.refresh_from_db()
    assert offer.accepted_name == "Grace Hopper"


@pytest.mark.parametrize("missing", ["name", "email", "agrees"])
def test_nothing_is_accepted_without_a_name_an_address_and_the_tick(shop, account, client, missing):
    offer = offer_to(account)

    answer = client.post(page_of(offer), {key: value for key, value in YES.items() if key != missing})

    assert answer.status_code == 422
    assert f"#id_{missing}" in said(answer)
    assert not at_stripe_has_subscriptions(shop, account)


def at_stripe_has_subscriptions(shop: Any, account: Account) -> bool:
    from billing.models import Customer

    row = Customer.objects.filter(account=account).first()
    return bool(row and row.stripe_customer_id and at_stripe(shop, account, "subscription"))


def test_an_offer_that_ended_or_was_taken_back_says_so_and_begins_nothing(shop, account, client, as_dana):
    ended, withdrawn = offer_to(account), offer_to(account)
    Offer.objects.filter(pk=ended.pk).update(open_until=clock.now(account))
    as_dana.post(OFFERS, {"action": "take_back", "_selected_action": [str(withdrawn.pk)]})

    for offer, words in ((ended, "This offer has ended"), (withdrawn, "This offer was taken back")):
        assert words in said(client.get(page_of(offer)))
        assert client.post(page_of(offer), YES).status_code == 422
    assert not Subscription.objects.exists()


def test_when_stripe_breaks_off_after_it_did_it_the_next_press_finds_it(shop, account, client, stripe_fails):
    offer = offer_to(account)
    stripe_fails(method="POST", path="/v1/subscriptions", when="after", status=0, times=5)
    answer = client.post(page_of(offer), YES)
    assert answer.status_code in (302, 422)
    stripe_fails.call_off()
    gateway.line.forget()

    client.post(page_of(offer), YES)

    assert len(at_stripe(shop, account, "subscription")) == 1
    offer.refresh_from_db()
    assert offer.state == "accepted"
    assert Subscription.objects.live().get().offer == offer


def test_another_account_s_subscription_cannot_claim_an_offer(shop, account, alice, charlie, client):
    offer = offer_to(account)
    other = (
        charlie.personal_account
        if hasattr(charlie, "personal_account")
        else Account.objects.get(person=charlie)
    )
    bought = buy(shop, other, charlie, "hybrid_pro_month")
    gateway.post(
        f"/v1/subscriptions/{bought.stripe_subscription_id}",
        {"metadata": {"tallyhouse_offer": str(offer.pk)}},
        idempotency_key="claim",
    )
    subscriptions.sync(account=other, reason="test")

    offer.refresh_from_db()
    assert offer.state == "open"
    assert Subscription.objects.live().get(account=other).offer is None


# --- What comes after ---------------------------------------------------------------------------------------


def test_an_invoice_that_is_not_paid_is_overdue_on_the_page_and_the_plan_is_off_after_its_grace(
    shop, account, alice, client, at_work
):
    offer = offer_to(account)
    client.post(page_of(offer), YES)
    start = clock.now(account)

    let_pass(account, start + timedelta(days=31))
    assert "An invoice is overdue" in said(client.get(page_of(offer)))
    assert entitlements.of(account, now=clock.now(account)).level == Level.GRACE
    assert entitlements.of(account, now=clock.now(account)).limit("projects") == 25
    assert "Your invoice has not been paid" in said(at_work.get("/billing/"))

    let_pass(account, start + timedelta(days=62))
    assert "Enterprise is off until the invoice is paid" in said(client.get(page_of(offer)))
    rights = entitlements.of(account, now=clock.now(account))
    assert (rights.level, rights.limit("projects")) == (Level.FREE, 1)

    invoice = at_stripe(shop, account, "invoice")[0]
    gateway.post(f"/v1/invoices/{invoice['id']}/pay", {"paid_out_of_band": True}, idempotency_key="bank")
    subscriptions.sync(account=account, reason="test")
    assert entitlements.of(account, now=clock.now(account)).limit("projects") == 25
    assert "Nothing is open" in said(client.get(page_of(offer)))


def test_an_overdue_contract_is_paid_from_the_page_and_is_not_ended_by_leaving_it_unpaid(
    shop, account, client, at_work
):
    client.post(page_of(offer_to(account)), YES)
    start = clock.now(account)

    let_pass(account, start + timedelta(days=31))
    page = said(at_work.get("/billing/"))
    assert "Invoice overdue" in page and "Payment failed" not in page
    for card_button in ("Add a card", "Change card", "Update card"):
        assert card_button not in page
    assert "Pay the open invoice: $4,800.00" in page
    let_pass(account, start + timedelta(days=62))
    page = said(at_work.get("/billing/"))
    assert "off: payment missing" in page and "Talk about the contract" in page
    assert "End the plan now" not in page
    answer = said(at_work.post("/billing/end/", follow=True))
    assert "The contract says when the plan ends; only another contract changes that." in answer
    assert Subscription.objects.live().get(account=account).is_fixed_term

    [owed] = Payment.objects.filter(account=account, status="open")
    assert hosted_invoice.pay_hosted(shop, owed.stripe_invoice_id, card=card()).status == "paid"
    cache.clear()  # the page asks Stripe once in a quarter of a minute
    page = said(at_work.get("/billing/"))
    assert "off: payment missing" not in page and "Pay the open invoice" not in page
    assert entitlements.of(account, now=clock.now(account)).limit("projects") == 25


def test_a_contract_of_one_period_ends_with_it_and_no_further_invoice_is_written(shop, account, client):
    offer = offer_to(account, interval="month", periods=1)
    client.post(page_of(offer), YES)
    invoice = at_stripe(shop, account, "invoice")[0]
    gateway.post(f"/v1/invoices/{invoice['id']}/pay", {"paid_out_of_band": True}, idempotency_key="bank")

    let_pass(account, clock.now(account) + timedelta(days=33))

    assert len([one for one in at_stripe(shop, account, "invoice") if one["total"]]) == 1
    assert at_stripe(shop, account, "invoice")[0]["total"] == 480_000
    assert entitlements.of(account, now=clock.now(account)).plan.key == "free"
    assert "This contract is over" in said(client.get(page_of(offer)))


def test_seats_of_a_contract_paid_by_card_wait_for_the_bank_and_are_not_called_off_for_its_last_day(
    shop, account, client, at_work, settle
):
    client.post(page_of(offer_to(account, plan_key="team", interval="month", seats=2, amount=None)), YES)
    contract = Subscription.objects.get(account=account)
    method = gateway.post(
        "/v1/payment_methods/pm_card_authenticationRequired/attach",
        {"customer": contract.stripe_customer_id},
        idempotency_key="attach",
    )
    gateway.post(
        f"/v1/subscriptions/{contract.stripe_subscription_id}",
        {"collection_method": "charge_automatically", "default_payment_method": method["id"]},
        idempotency_key="by card",
    )
    settle()
    contract.refresh_from_db()
    assert contract.is_fixed_term

    asked = change(at_work, seats=5)
    settle()
    assert subscriptions.sync(account=account, reason="test")

    asked.refresh_from_db()
    assert asked.state == "waiting"
    assert hosted_invoice.pay_hosted(shop, asked.stripe_invoice_id, card=card()).status == "paid"
    assert subscriptions.sync(account=account, reason="test")
    contract.refresh_from_db()
    assert (contract.quantity, contract.is_fixed_term) == (5, True)


def test_the_next_contract_goes_on_from_the_next_period_at_the_new_price(shop, account, client):
    client.post(page_of(offer_to(account, interval="month", periods=1)), YES)
    invoice = at_stripe(shop, account, "invoice")[0]
    gateway.post(f"/v1/invoices/{invoice['id']}/pay", {"paid_out_of_band": True}, idempotency_key="bank")
    subscriptions.sync(account=account, reason="test")
    start = clock.now(account)
    renewal = offer_to(account, interval="month", periods=12, seats=50, amount=10_000, overrides={})

    assert client.post(page_of(renewal), YES).status_code == 302
    assert [one["total"] for one in at_stripe(shop, account, "invoice")] == [480_000]
    let_pass(account, start + timedelta(days=33))

    assert sorted(one["total"] for one in at_stripe(shop, account, "invoice")) == [480_000, 500_000]
    subscription = Subscription.objects.live().get(account=account)
    assert (subscription.offer, subscription.quantity) == (renewal, 50)
    first = Offer.objects.exclude(pk=renewal.pk).get()
    assert "A newer contract has taken its place" in said(client.get(page_of(first)))


def test_what_is_left_of_a_plan_paid_by_card_is_credited_on_the_first_invoice(shop, account, alice, client):
    buy(shop, account, alice, "hybrid_team_month", 5)
    subscription = Subscription.objects.live().get(account=account)
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    subscription.refresh_from_db()
    assert subscription.status == "active"
    offer = offer_to(account)

    assert client.post(page_of(offer), YES).status_code == 302

    live = Subscription.objects.live().get(account=account)
    assert (live.stripe_subscription_id, live.plan_key) == (subscription.stripe_subscription_id, "enterprise")
    newest = at_stripe(shop, account, "invoice")[-1]
    assert 480_000 - 9_500 <= newest["amount_due"] < 480_000
    assert newest["collection_method"] == "send_invoice"


def test_a_contract_s_free_days_end_with_an_invoice_and_no_card_is_asked_for(
    shop, account, alice, at_work, client
):
    client.post(page_of(offer_to(account, trial_days=14, periods=None)), YES)
    ends = Subscription.objects.live().get().trial_end

    begun = Notification.objects.get(kind="trial_started").text
    assert "On that day the first invoice comes by e-mail" in begun and "card" not in begun
    page = said(at_work.get("/billing/"))
    assert "Then the first invoice comes by e-mail." in page
    assert f'"{ends:%Y-%m-%dT%H:%M:%S}+00:00">{ends:%-d %B %Y}</time>.' in page
    assert "The next invoice, over <strong>$4,800.00</strong>, comes by e-mail on" in page
    assert "Add a card until then" not in page and "With a card" not in page
    let_pass(account, ends - timedelta(days=2))
    reminders.sweep(now=clock.wall())
    ending = Notification.objects.get(kind="trial_ending").text
    assert "The first invoice over $4,800.00 comes by e-mail then" in ending and "card" not in ending


def test_a_contract_that_has_begun_is_not_said_to_go_on_by_itself(shop, account, client):
    client.post(page_of(offer_to(account)), YES)

    begun = Notification.objects.get(kind="plan_started").text
    last_day = Subscription.objects.live().get().cancel_at
    assert f"It runs until {last_day:%-d %B %Y}." in begun and "by itself" not in begun


def test_whoever_makes_or_reads_an_offer_is_told_what_it_takes_the_place_of(
    shop, account, alice, client, as_dana
):
    long = clock.now(account) + timedelta(days=60)
    first = offer_to(
        account, interval="month", seats=1, amount=50_000, trial_days=7, periods=None, open_until=long
    )
    assert "takes the place" not in said(client.get(page_of(first)))
    assert "7 days free" in said(client.get(page_of(first)))
    trial = buy(shop, account, alice, "hybrid_team_month", 5)
    assert "(Team, monthly, 5 seats). Its trial ends then." in said(client.get(page_of(first)))
    assert "7 days free" not in said(client.get(page_of(first)))
    let_pass(account, trial.trial_end + timedelta(hours=2))

    asked_for = f"{OFFERS}add/?account={account.pk}&plan_key=enterprise"
    assert "It has Team, monthly, 5 seats now." in said(as_dana.get(asked_for))
    assert "only a first plan begins with free days" in said(
        as_dana.post(f"{OFFERS}add/", typed(account, trial_days="7"))
    )
    answer = as_dana.post(f"{OFFERS}add/", typed(account), follow=True)
    words = "It takes the place of the plan that runs now (Team, monthly, 5 seats): what is paid and not used of that"
    assert f"The customer reads: {words}" in said(answer)
    offer = Offer.objects.latest("pk")
    assert words in said(client.get(page_of(offer)))
    assert words in Effect.objects.get(key=f"mail:offer:{offer.nonce}").detail["body"]
    assert "Cards are not charged any more." in said(as_dana.get(f"{OFFERS}{offer.pk}/change/"))

    client.post(page_of(first), YES)
    assert "7 days free" not in said(client.get(page_of(first)))
    renewal = offer_to(account, interval="month", seats=1, amount=60_000)
    until = f"{Subscription.objects.live().get().current_period_end:%-d %B %Y}"
    assert "follows the contract that runs now (Enterprise, monthly): seats and limits hold" in said(
        client.get(page_of(renewal))
    )
    assert f"the new price from {until}." in said(client.get(page_of(renewal)))


def test_staff_see_who_accepted_an_offer_and_what_began_then(shop, account, client, as_dana):
    offer = offer_to(account)
    explained = f"/staff/accounts/account/{account.pk}/change/"
    [why] = re.findall(r'href="([^"]+)">Why\?', as_dana.get(explained).content.decode())
    assert "for $4,800.00 a year, made on" in said(as_dana.get(why))
    assert "sent to grace@navy.example: open" in said(as_dana.get(why))

    client.post(page_of(offer), YES)

    began = Subscription.objects.live().get()
    page = said(as_dana.get(why))
    assert "by Grace Hopper <grace@navy.example>;" in page
    assert f"{began.stripe_subscription_id} began then, agreed until" in page
    row = said(as_dana.get(f"{OFFERS}?q={account.pk}"))
    assert "Grace Hopper" in row and began.stripe_subscription_id in row


def test_an_account_on_hold_is_promised_nothing_and_staff_are_told_so(shop, account, alice, client, as_dana):
    trial = buy(shop, account, alice, "hybrid_team_month", 5)
    let_pass(account, trial.trial_end + timedelta(hours=2))
    suspension.suspend(account=account, reason="asked for", now=clock.now(account))

    made = said(as_dana.post(f"{OFFERS}add/", typed(account), follow=True))

    assert "is on hold: nobody accepts the offer before that ends" in made
    offer = Offer.objects.get()
    page = said(client.get(page_of(offer)))
    assert "It cannot be accepted now" in page
    assert "Accept for" not in page and "credited" not in page
    mail = Effect.objects.get(key=f"mail:offer:{offer.nonce}").detail["body"]
    assert "The account is on hold" in mail and "credited" not in mail and "accept it here" not in mail
    assert "cannot buy at the moment" in said(client.post(page_of(offer), YES))

    suspension.lift(account=account)
    page = said(client.get(page_of(offer)))
    assert "Accept for" in page and "credited" in page


def test_staff_who_give_a_plan_to_an_account_on_hold_are_told_that_it_does_nothing_yet(account, as_dana):
    customers.row(account)
    suspension.suspend(account=account, reason="asked for", now=clock.now(account))

    answer = as_dana.post(
        "/staff/billing/plangrant/add/",
        {
            "account": str(account.pk),
            "kind": "comped",
            "plan_key": "enterprise",
            "overrides": "{}",
            "reason": "a friend",
        },
        follow=True,
    )

    assert "is on hold and has nothing of the plan before that ends" in said(answer)


def test_the_account_s_own_pages_know_the_contract(shop, account, alice, at_work, client):
    client.post(page_of(offer_to(account)), YES)

    page = said(at_work.get("/billing/"))
    assert "Enterprise, yearly, 40 seats" in page
    assert "Your contract is for 40 seats." in said(at_work.get("/billing/seats/", follow=True))
    prices = said(at_work.get("/pricing/"))
    assert "Manage Enterprise" in prices
    for act in ("Switch to Team", "Switch to Pay as you go", "Switch to paying"):
        assert act not in prices  # what is paid by invoice is changed by people
    assert "Talk to us" in prices
    assert at_work.get("/usage/").status_code == 200
    assert "You pay by invoice" in said(at_work.get("/billing/change/?price=hybrid_team_month&quantity=3"))


def test_a_contract_s_end_is_no_cancellation_and_no_button_takes_it_back(
    shop, account, alice, at_work, client
):
    client.post(page_of(offer_to(account)), YES)

    page = said(at_work.get("/billing/"))
    assert "Keep my plan" not in page
    assert "Your contract ends" not in page
    assert not Notification.objects.filter(account=account, kind="canceled").exists()
    assert "no cancellation to take back" in said(at_work.post("/billing/resume/", follow=True))
    assert at_stripe(shop, account, "subscription")[0]["cancel_at"]


def test_a_contract_of_two_years_says_which_invoices_are_still_to_come(shop, account, alice, at_work, client):
    client.post(page_of(offer_to(account)), YES)
    contract = Subscription.objects.live().get()

    page = re.sub(r"<[^>]+>", "", said(at_work.get("/billing/")))

    assert f"Runs until {contract.cancel_at:%-d %B %Y}" in page
    assert f"An invoice is open, due on {contract.open_invoice_due_at:%-d %B %Y}" in page
    assert f"The next invoice comes on {contract.current_period_end:%-d %B %Y}" in page
    assert "Nothing more is charged" not in page


def test_the_notice_of_a_contract_s_end_promises_no_end_of_invoices_too_early(
    shop, account, alice, at_work, client
):
    client.post(page_of(offer_to(account, interval="month", periods=2)), YES)
    contract = Subscription.objects.live().get()
    let_pass(account, clock.now(account) + timedelta(days=3))

    page = said(at_work.get("/billing/"))

    assert "Your contract ends on" in page
    assert f"the next invoice comes on {contract.current_period_end:%-d %B %Y}" in page
    assert "othing more is charged" not in page


def test_the_end_of_a_contract_is_spoken_of_two_months_ahead(shop, account, alice, at_work, client):
    client.post(page_of(offer_to(account, interval="month", periods=1)), YES)

    page = said(at_work.get("/billing/"))
    assert "Your contract ends on" in page
    assert "Talk about the next one" in page
    assert "No further invoice comes" in page


def test_the_staff_pages_show_offers_to_staff_alone(account, as_alice, as_dana):
    offer = offer_to(account)

    assert as_dana.get(OFFERS).status_code == 200
    assert as_alice.get(f"{OFFERS}{offer.pk}/change/").status_code == 302
    assert as_alice.get(reverse("admin:billing_enquiry_changelist")).status_code == 302


# --- A contract is not left by closing the account ------------------------------------------------------------


def closes(at_work: Client, account: Account) -> str:
    return said(at_work.post("/account/close/", {"name": account.name}, follow=True))


def test_a_contract_in_order_is_not_ended_by_closing_the_account(shop, account, client, at_work):
    client.post(page_of(offer_to(account)), YES)
    bound = Subscription.objects.get(account=account)
    until = f"{bound.cancel_at:%-d %B %Y}"

    asked_first = said(at_work.get("/account/close/"))
    answer = closes(at_work, account)

    for page in (asked_first, answer):
        assert f"A contract runs until {until}, so closing the account has to wait." in page
        assert "write to sales@transformer.example" in page
        assert "ends at once" not in page
    bound.refresh_from_db()
    account.refresh_from_db()
    assert (bound.status, bound.is_live, account.closed_at) == ("active", True, None)
    assert gateway.get(f"/v1/subscriptions/{bound.stripe_subscription_id}")["status"] == "active"


def test_a_contract_that_is_not_paid_is_not_left_by_closing_the_account(shop, account, client, at_work):
    client.post(page_of(offer_to(account)), YES)
    let_pass(account, clock.now(account) + timedelta(days=62))
    bound = Subscription.objects.get(account=account)
    assert bound.status != "active"

    answer = closes(at_work, account)

    assert "A contract runs until" in answer and "The plan is over" not in answer
    assert "is open." in answer
    bound.refresh_from_db()
    account.refresh_from_db()
    assert (bound.is_live, account.closed_at) == (True, None)
    assert gateway.get(f"/v1/subscriptions/{bound.stripe_subscription_id}")["status"] != "canceled"


def test_after_the_last_day_of_a_contract_the_account_can_be_closed(shop, account, client, at_work):
    client.post(page_of(offer_to(account, interval="month", periods=1)), YES)
    bound = Subscription.objects.get(account=account)
    gateway.post(
        f"/v1/invoices/{bound.latest_invoice_id}/pay", {"paid_out_of_band": True}, idempotency_key="bank"
    )
    let_pass(account, bound.cancel_at + timedelta(hours=2))

    closes(at_work, account)

    account.refresh_from_db()
    assert account.closed_at
