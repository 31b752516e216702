"""Billing details: name, address and tax ids on the invoices, checked by Stripe, seen by their account alone."""

from html import unescape
from typing import Any

import pytest
from django.test import Client

from accounts.models import Account
from billing.lifecycle import customers
from billing.models import Customer, Subscription
from billing.stripe import gateway
from tests.billing.shopping import at_stripe, buy

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/billing/details/"


@pytest.fixture
def at_work(as_alice: Client, account: Account) -> Client:
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    return as_alice


def written(**other: str) -> dict[str, str]:
    return {
        "name": "Alice & Co GmbH",
        "line1": "Lindenstr. 4",
        "line2": "",
        "postal_code": "10969",
        "city": "Berlin",
        "state": "",
        "country": "DE",
        **other,
    }


def said(answer: Any) -> str:
    return " ".join(unescape(answer.content.decode()).split())


def test_name_address_and_tax_id_stand_on_the_next_invoice(shop, account, alice, at_work):
    assert "Saved" in said(at_work.post(PAGE, written(), follow=True))
    page = said(at_work.post(f"{PAGE}tax-id/", {"kind": "eu_vat", "value": "DE123456789"}, follow=True))
    assert "DE123456789" in page
    assert "Verified" in page

    buy(shop, account, alice, "hybrid_team_month", 2)
    invoice = at_stripe(shop, account, "invoice")[-1]
    assert invoice["customer_name"] == "Alice & Co GmbH"
    assert invoice["customer_address"]["city"] == "Berlin"
    assert invoice["customer_tax_ids"] == [{"type": "eu_vat", "value": "DE123456789"}]


def test_a_name_for_the_invoices_outlives_a_new_name_of_the_account(shop, account, alice, at_work):
    at_work.post(PAGE, written())
    account.name = "Alice Limited"
    account.save()
    customers.introduce(account)

    assert 'value="Alice & Co GmbH"' in said(at_work.get(PAGE))


def test_without_one_of_its_own_the_invoices_follow_the_account_s_name(shop, account, alice, at_work):
    at_work.post(PAGE, written(name=account.name))
    account.name = "Alice Limited"
    account.save()
    customers.introduce(account)

    assert 'value="Alice Limited"' in said(at_work.get(PAGE))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("DE123456789", "Verified"),
        ("DE111111111", "Not found"),
        ("DE222222222", "Being checked"),
    ],
)
def test_what_became_of_the_check_is_shown(shop, at_work, value, words):
    assert words in said(at_work.post(f"{PAGE}tax-id/", {"kind": "eu_vat", "value": value}, follow=True))


def test_a_kind_nobody_checks_says_so(shop, at_work):
    page = said(at_work.post(f"{PAGE}tax-id/", {"kind": "us_ein", "value": "12-3456789"}, follow=True))

    assert "Stripe cannot check this kind" in page


def test_a_number_that_is_none_is_refused_with_an_example(shop, at_work):
    answer = at_work.post(f"{PAGE}tax-id/", {"kind": "eu_vat", "value": "nonsense!"})

    assert answer.status_code == 422
    assert "It looks like DE123456789" in said(answer)
    assert "nonsense!" in said(answer)


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("line1", ""), ("country", ""), ("country", "XX"), ("city", "x" * 101)]
)
def test_what_is_missing_or_wrong_is_said_and_nothing_is_saved(shop, account, at_work, field, value):
    answer = at_work.post(PAGE, written(**{field: value}))

    assert answer.status_code == 422
    assert f"#id_{field}" in said(answer)
    assert not Customer.objects.filter(account=account, stripe_customer_id__isnull=False).exists()


def test_pressing_add_twice_is_one_tax_id_and_removing_it_twice_is_no_error(shop, account, at_work):
    for _ in range(2):
        at_work.post(f"{PAGE}tax-id/", {"kind": "eu_vat", "value": "DE123456789"})
    [kept] = at_stripe(shop, account, "tax_id")

    for _ in range(2):
        answer = at_work.post(f"{PAGE}tax-id/remove/", {"tax_id": kept["id"]}, follow=True)
        assert "Removed" in said(answer)
    assert at_stripe(shop, account, "tax_id") == []


def test_nobody_removes_another_account_s_tax_id_or_sees_it(shop, account, at_work, as_charlie, as_bob):
    at_work.post(f"{PAGE}tax-id/", {"kind": "eu_vat", "value": "DE123456789"})
    [kept] = at_stripe(shop, account, "tax_id")

    as_charlie.post(f"{PAGE}tax-id/remove/", {"tax_id": kept["id"]})
    as_bob.post("/account/switch/", {"account": str(account.pk)})
    assert as_bob.post(f"{PAGE}tax-id/remove/", {"tax_id": kept["id"]}).status_code in (302, 403)
    assert "DE123456789" not in said(as_charlie.get(PAGE))
    assert as_bob.get(PAGE).status_code in (302, 403)
    assert len(at_stripe(shop, account, "tax_id")) == 1


def test_with_automatic_tax_the_next_charge_is_shown_with_tax_and_the_page_says_how(
    shop, account, alice, at_work, settings
):
    settings.STRIPE_AUTOMATIC_TAX = True
    at_work.post(PAGE, written())
    buy(shop, account, alice, "hybrid_team_month", 2)

    subscription = Subscription.objects.live().get(account=account)
    assert subscription.next_charge_amount == 3800 + 380
    assert "added where it is due" in said(at_work.get(PAGE))
    assert "$41.80" in said(at_work.get("/billing/"))


def test_while_stripe_does_not_answer_the_page_says_so_and_loses_no_words(
    shop, account, at_work, stripe_fails
):
    at_work.post(PAGE, written())
    path = f"/v1/customers/{Customer.objects.get(account=account).stripe_customer_id}"
    for method in ("GET", "POST"):
        stripe_fails(method=method, path=path, when="before", status=500, times=20)

    assert at_work.get(PAGE).status_code == 503
    answer = at_work.post(PAGE, written(city="Potsdam"))
    assert answer.status_code == 422
    assert "Potsdam" in said(answer)
    stripe_fails.call_off()
    gateway.line.forget()
    assert "Berlin" in said(at_work.get(PAGE))
