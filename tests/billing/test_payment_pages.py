"""Payments on the page of billing: looked for by year and state, taken along as a file, and the card that pays them."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from billing.models import Customer, Payment, Subscription
from billing.stripe import gateway
from tests.billing.shopping import buy
from tests.billing.test_billing_pages import as_alice, as_bob, text

__all__ = ["as_alice", "as_bob"]

pytestmark = pytest.mark.django_db(transaction=True)


def paid(account, number, *, year=2026, **fields):
    """A payment as a sync would have written it."""
    at = datetime(year, 5, 4, tzinfo=UTC)
    common = {
        "stripe_invoice_id": f"in_{number}",
        "status": "paid",
        "amount_due": 2900,
        "amount_paid": 2900,
        "paid_at": at,
        "description": "1 × Pro",
    }
    return Payment.objects.create(
        account=account,
        number=number,
        currency="usd",
        created_at=at,
        synced_at=at,
        **{**common, **fields},
    )


def open_at_stripe():
    """The name of an invoice that Stripe has and nobody has paid: the page asks Stripe about what is open."""
    customer = gateway.post("/v1/customers", {"email": "alice@example.com"}, idempotency_key="customer")["id"]
    wanted = {"customer": customer, "collection_method": "send_invoice", "days_until_due": 30}
    invoice = gateway.post("/v1/invoices", wanted, idempotency_key="invoice")["id"]
    line = {"customer": customer, "invoice": invoice, "amount": 2900, "currency": "usd"}
    gateway.post("/v1/invoiceitems", line, idempotency_key="line")
    return gateway.post(f"/v1/invoices/{invoice}/finalize", idempotency_key="final")["id"]


@pytest.fixture
def four(account, simulator):
    paid(account, "A-1", year=2025)
    paid(account, "A-2")
    paid(account, "A-3", amount_refunded=1000)
    asked = {"stripe_invoice_id": open_at_stripe(), "amount_paid": 0, "paid_at": None, "attempt_count": 1}
    paid(account, "A-4", status="open", **asked)
    paid(account, "A-5", status="draft", amount_paid=0, paid_at=None)


def listed(page):
    return [
        number
        for number in ("A-1", "A-2", "A-3", "A-4", "A-5")
        if f"<td>{number}</td>" in page.content.decode()
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["A-1", "A-2", "A-3", "A-4"]),
        ("year=2025", ["A-1"]),
        ("year=2026&state=paid", ["A-2", "A-3"]),
        ("state=open", ["A-4"]),
        ("state=refunded", ["A-3"]),
        ("state=void", []),
        ("year=0000&state=whatever", ["A-1", "A-2", "A-3", "A-4"]),
        ("year=²&state=", ["A-1", "A-2", "A-3", "A-4"]),
    ],
)
def test_payments_are_looked_for_by_year_and_state_and_the_file_has_the_same(
    account, four, as_alice, query, found
):
    page = as_alice.get(f"/billing/?{query}")
    file = as_alice.get(f"/billing/payments.csv?{query}")

    assert listed(page) == found
    rows = list(csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode())))
    assert sorted(row["number"] for row in rows) == found
    assert ("There is none that fits" in text(page)) == (not found)


def test_the_file_has_sums_in_the_currency_s_own_unit_and_no_formula(account, as_alice):
    paid(account, "A-2", amount_refunded=1000, description="=HYPERLINK()")

    file = as_alice.get("/billing/payments.csv")

    assert "attachment" in file["Content-Disposition"]
    [row] = csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode()))
    assert (row["amount_due"], row["amount_refunded"], row["currency"]) == ("29.00", "10.00", "usd")
    assert row["description"] == "'=HYPERLINK()"


def test_what_the_bank_took_back_is_in_the_file_and_can_be_looked_for(account, four, as_alice):
    taken_at = datetime(2026, 6, 1, tzinfo=UTC)
    taken = {"dispute_state": "lost", "amount_taken_back": 1900, "taken_back_at": taken_at}
    paid(account, "A-6", amount_refunded=1000, **taken)
    paid(account, "A-7", dispute_state="open")

    page = as_alice.get("/billing/?state=taken_back").content.decode()
    assert ("<td>A-6</td>" in page, "<td>A-7</td>" in page, "<td>A-3</td>" in page) == (True, False, False)
    assert re.search(r"<option value=\"taken_back\" selected>\s*Taken back", page)

    file = as_alice.get("/billing/payments.csv?state=taken_back")
    [row] = csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode()))
    assert (row["number"], row["taken_back"], row["taken_back_at"]) == ("A-6", "19.00", taken_at.isoformat())
    everything = as_alice.get("/billing/payments.csv")
    rows = csv.DictReader(io.StringIO(b"".join(everything.streaming_content).decode()))
    others = [row for row in rows if row["number"] != "A-6"]
    assert {(row["taken_back"], row["taken_back_at"]) for row in others} == {("0.00", "")}


def test_more_payments_than_fit_say_so(account, as_alice):
    for number in range(25):
        paid(account, f"B-{number}")

    page = text(as_alice.get("/billing/"))

    assert "These are the newest 24." in page
    assert "B-24 " in page
    assert "B-0 " not in page


def test_members_and_strangers_get_no_file(account, four, as_bob, as_charlie):
    assert as_bob.get("/billing/payments.csv").status_code == 403
    theirs = as_charlie.get("/billing/payments.csv")
    assert b"A-1" not in b"".join(theirs.streaming_content)


def test_a_member_is_told_whom_to_ask_about_the_plan_by_name(account, as_bob):
    assert (
        "Only the owner and admins of Alice &amp; Co can change the plan or see payments: ask Alice ."
        in text(as_bob.get("/billing/"))
    )


@pytest.mark.parametrize(("months_ahead", "is_warned"), [(0, True), (2, False)])
def test_a_card_that_runs_out_before_the_next_charge_is_named_with_its_month(
    shop, account, alice, as_alice, months_ahead, is_warned
):
    buy(shop, account, alice, "hybrid_payg_tokens")
    last = timezone.now() + timedelta(days=31 * months_ahead)
    Subscription.objects.update(current_period_end=timezone.now() + timedelta(days=32))
    Customer.objects.update(card_exp_month=last.month, card_exp_year=last.year)

    page = text(as_alice.get("/billing/"))

    said = f"Visa ending 4242 is valid until {last:%m/%Y}, and the next charge comes after that."
    assert (said in page) == is_warned


@pytest.mark.parametrize(
    ("month", "year", "ends"),
    [(11, 2026, datetime(2026, 12, 1, tzinfo=UTC)), (12, 2026, datetime(2027, 1, 1, tzinfo=UTC))],
)
def test_a_card_is_valid_to_the_end_of_its_month(month, year, ends):
    assert Customer(card_exp_month=month, card_exp_year=year).card_ends_at == ends
    assert Customer().card_ends_at is None


def test_who_cancels_can_take_the_data_along(shop, account, alice, as_alice):
    buy(shop, account, alice, "hybrid_payg_tokens")

    assert 'href="/account/export/"' in as_alice.get("/billing/cancel/").content.decode()


def test_every_page_says_where_help_is_at_the_same_place(client, as_alice):
    for page in (client.get("/pricing/"), as_alice.get("/billing/"), as_alice.get("/no-such-page/")):
        footer = page.content.decode().split("<footer")[1]
        assert 'href="mailto:help@transformer.example"' in footer


def test_details_say_where_the_receipts_go(shop, account, as_alice):
    assert "Receipts and payment notices go to alice@example.com" in text(as_alice.get("/billing/details/"))
