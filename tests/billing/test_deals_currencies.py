"""Several currencies: chosen before the first purchase, kept after it, and the same sum on every page and invoice."""

from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as house
from django.core.management import call_command
from django.test import Client

from accounts.models import Account
from billing import catalog, clock, entitlements
from billing.catalog.reading import CatalogError, load
from billing.models import CheckoutIntent, Offer, Payment, Subscription
from billing.stripe import gateway
from tests.billing.shopping import at_stripe, let_pass, pay

pytestmark = pytest.mark.django_db(transaction=True)
EUROS = {2900: 2700, 1900: 1800, 50: 45}


def words(**change: str) -> str:
    """The default price list, with euros beside its dollars."""
    text = (Path(house.BILLING_CATALOG_DIR) / "hybrid.toml").read_text()
    for dollars, euros in EUROS.items():
        text = text.replace(
            f"amount = {dollars}\n", f"amount = {dollars}\ncurrencies = {{ eur = {euros} }}\n"
        )
    for old, new in change.items():
        text = text.replace(old, new)
    return text


@pytest.fixture
def bazaar(simulator: Any, settings: Any, tmp_path: Path) -> Any:
    file = tmp_path / "hybrid.toml"
    file.write_text(words())
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def at_work(as_alice: Client, account: Account) -> Client:
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    return as_alice


def said(answer: Any) -> str:
    return " ".join(unescape(answer.content.decode()).split())


def buy_in(client: Client, shop: Any, currency: str, price: str = "hybrid_team_month", seats: int = 2) -> Any:
    answer = client.post(
        "/billing/upgrade/", {"price": price, "quantity": str(seats), "currency": currency}, follow=False
    )
    assert answer.status_code == 303, said(client.get("/pricing/"))[:2000]
    intent = CheckoutIntent.objects.latest("pk")
    assert pay(shop, intent).status == "paid"
    return client.get(f"/billing/upgraded/?session_id={intent.stripe_session_id}")


def test_the_price_list_shows_the_currency_that_is_asked_for_and_keeps_it(bazaar, client):
    assert "$29" in said(client.get("/pricing/"))
    page = said(client.get("/pricing/?currency=eur"))
    assert "€27" in page
    assert "$29" not in page
    assert "€27" in said(client.get("/pricing/"))
    assert "€27" in said(client.get("/pricing/?currency=zzz"))


def test_a_price_list_in_one_currency_offers_no_choice(shop, client):
    assert "Prices in" not in said(client.get("/pricing/?currency=eur"))


def test_what_is_bought_in_euros_is_charged_and_shown_in_euros(bazaar, account, at_work):
    at_work.get("/pricing/?currency=eur")
    assert "€" in said(at_work.get("/pricing/"))
    buy_in(at_work, bazaar, "eur")

    subscription = Subscription.objects.live().get(account=account)
    assert (subscription.currency, subscription.next_charge_amount) == ("eur", 3600)
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    paid = Payment.objects.filter(account=account, amount_paid__gt=0).get()
    assert (paid.amount_paid, paid.currency) == (3600, "eur")
    page = said(at_work.get("/billing/"))
    assert "€36.00" in page
    assert "$" not in page


def test_the_currency_of_the_first_purchase_stays(bazaar, account, at_work):
    buy_in(at_work, bazaar, "eur")
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    gateway.delete(
        f"/v1/subscriptions/{Subscription.objects.live().get(account=account).stripe_subscription_id}"
    )
    at_work.get("/billing/returned/")

    page = said(at_work.get("/pricing/?currency=usd"))
    assert "€" in page
    assert "Prices in" not in page
    answer = at_work.post(
        "/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2", "currency": "usd"}, follow=True
    )
    assert "You pay in EUR since your first purchase" in said(answer)
    assert CheckoutIntent.objects.filter(account=account).count() == 1


def test_staff_are_told_when_they_make_an_offer_in_another_currency(bazaar, account, at_work, as_dana):
    buy_in(at_work, bazaar, "eur")
    wanted = {
        "account": str(account.pk),
        "plan_key": "team",
        "interval": "year",
        "seats": "20",
        "price": "150.00",
        "periods": "1",
        "days_until_due": "30",
        "trial_days": "0",
        "overrides": "{}",
        "terms": "",
        "open_until_0": f"{clock.now(account) + timedelta(days=20):%Y-%m-%d}",
        "open_until_1": "12:00:00",
        "recipient": "buyer@example.com",
    }

    page = said(as_dana.post("/staff/billing/offer/add/", wanted))

    assert "pays in EUR, which Stripe cannot change for a customer, and offers are made in USD" in page
    assert not Offer.objects.exists()


@pytest.mark.parametrize("currency", ["gbp", "EUR", "x" * 90])
def test_a_currency_that_is_not_offered_is_refused_at_the_till(bazaar, account, at_work, currency):
    answer = at_work.post(
        "/billing/upgrade/",
        {"price": "hybrid_team_month", "quantity": "2", "currency": currency},
        follow=True,
    )

    assert "is not sold in" in said(answer)
    assert not CheckoutIntent.objects.exists()


def test_a_page_opened_in_dollars_is_not_reused_for_euros(bazaar, account, at_work):
    for currency in ("usd", "eur"):
        at_work.post(
            "/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2", "currency": currency}
        )

    sessions = at_stripe(bazaar, account, "checkout.session")
    assert [(one["currency"], one["status"]) for one in sessions] == [("usd", "expired"), ("eur", "open")]


def test_more_seats_are_previewed_and_charged_in_the_currency_of_the_plan(bazaar, account, at_work):
    buy_in(at_work, bazaar, "eur")
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))

    page = said(at_work.get("/billing/change/?seats=3"))
    assert "€54.00" in page
    assert "$" not in page
    token = page.split('name="token" value="')[1].split('"')[0]
    at_work.post("/billing/change/", {"token": token})
    subscription = Subscription.objects.live().get(account=account)
    assert (subscription.quantity, subscription.next_charge_amount) == (3, 5400)


def test_units_are_priced_in_the_currency_the_plan_is_paid_in(bazaar, alice, as_alice):
    mine = Account.objects.get(person=alice)
    buy_in(as_alice, bazaar, "eur", price="hybrid_payg_tokens", seats=1)

    rights = entitlements.of(mine, now=clock.now(mine))
    price = rights.plan.price_of_units("tokens")
    assert price is not None
    assert (price.amount, price.currency) == (45, "eur")


def test_a_second_push_changes_nothing_and_another_sum_makes_a_new_price(bazaar, settings, tmp_path):
    before = gateway.get("/v1/prices", {"lookup_keys": ["hybrid_team_month"]})["data"][0]["id"]
    call_command("sync_catalog", verbosity=0)
    assert gateway.get("/v1/prices", {"lookup_keys": ["hybrid_team_month"]})["data"][0]["id"] == before

    other = tmp_path / "newer" / "hybrid.toml"
    other.parent.mkdir()
    other.write_text(words(**{"eur = 1800": "eur = 1700"}))
    settings.BILLING_CATALOG = str(other)
    call_command("sync_catalog", verbosity=0)
    found = gateway.get(
        "/v1/prices", {"lookup_keys": ["hybrid_team_month"], "expand": ["data.currency_options"]}
    )["data"][0]
    assert found["id"] != before
    assert found["currency_options"]["eur"]["unit_amount"] == 1700


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("currencies = { eur = 2700 }\n", "", "others are sold in"),
        ("{ eur = 2700 }", "{ usd = 2700 }", "is its own currency"),
        ("{ eur = 2700 }", "{ eur = 0 }", "eur"),
        ("{ eur = 2700 }", "{ moon = 5 }", "three small letters"),
        ("{ eur = 2700 }", '{ eur = "much" }', "eur"),
    ],
)
def test_a_mistake_in_the_price_list_is_named(tmp_path, old, new, complaint):
    file = tmp_path / "hybrid.toml"
    file.write_text(words(**{old: new}))

    with pytest.raises(CatalogError) as error:
        load(file)
    assert complaint in str(error.value)


def test_the_default_price_list_has_one_currency():
    assert catalog.current().currencies == ("usd",)
