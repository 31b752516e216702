"""Promotion codes: at the till, by a link, on a plan that runs; shown with what they take off, and until when."""

from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as house
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from accounts.models import Account
from billing import clock
from billing.lifecycle import subscriptions
from billing.models import CheckoutIntent, Payment, Subscription
from billing.stripe import gateway
from tests.billing.shopping import at_stripe, buy, go_to_the_till, let_pass, pay

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_has_tried_yet() -> None:
    cache.clear()


@pytest.fixture
def at_work(as_alice: Client, account: Account) -> Client:
    as_alice.post("/account/switch/", {"account": str(account.pk)})
    return as_alice


def code(name: str = "FRIEND20", *, limits: dict[str, Any] | None = None, **coupon: Any) -> str:
    """What staff write at Stripe: a coupon and its code; answers the code's id."""
    what = {"percent_off": 20, "duration": "repeating", "duration_in_months": 3, **coupon}
    made = gateway.post(
        "/v1/coupons", {k: v for k, v in what.items() if v is not None}, idempotency_key=f"c:{name}"
    )
    promotion = {"type": "coupon", "coupon": made["id"]}
    said = {"code": name, "promotion": promotion, **(limits or {})}
    return str(gateway.post("/v1/promotion_codes", said, idempotency_key=f"p:{name}")["id"])


def said(answer: Any) -> str:
    return " ".join(unescape(answer.content.decode()).split())


def running(shop: Any, account: Account, alice: Any) -> Subscription:
    """A team of two, past its trial: $38.00 a month."""
    buy(shop, account, alice, "hybrid_team_month", 2)
    let_pass(account, clock.now(account) + timedelta(days=14, hours=2))
    return Subscription.objects.live().get(account=account)


def test_the_payment_page_asks_for_a_code(shop, account, alice):
    go_to_the_till(account, alice, "hybrid_team_month", 2)

    assert at_stripe(shop, account, "checkout.session")[0]["allow_promotion_codes"] is True


def test_a_price_list_may_say_that_there_are_no_codes(simulator, settings, tmp_path, account, alice):
    file = tmp_path / "hybrid.toml"
    words = (Path(house.BILLING_CATALOG_DIR) / "hybrid.toml").read_text()
    file.write_text(f"promotion_codes = false\n{words}")
    settings.BILLING_CATALOG = str(file)
    call_command("sync_catalog", verbosity=0)
    go_to_the_till(account, alice, "hybrid_team_month", 2)

    assert not at_stripe(simulator, account, "checkout.session")[0]["allow_promotion_codes"]


def test_a_link_with_a_code_says_what_it_is_worth_and_takes_it_to_the_payment_page(
    shop, account, alice, at_work
):
    name = code()
    page = said(at_work.get("/code/friend20/", follow=True))
    assert "20% off with FRIEND20 for 3 months: it is taken off on the payment page." in page

    at_work.post("/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2"})

    intent = CheckoutIntent.objects.get()
    assert intent.promotion_code == name
    assert pay(shop, intent).status == "paid"
    subscriptions.sync(account=account, reason="test")
    subscription = Subscription.objects.live().get(account=account)
    assert subscription.discounts[0]["code"] == "FRIEND20"
    assert subscription.next_charge_amount == 3800 - 760
    page = said(at_work.get("/billing/"))
    assert "20% off with FRIEND20 until" in page
    assert "$30.40" in page
    assert "The sum above is what remains to pay" in page


def test_a_visitor_can_come_by_the_link_before_they_sign_up(shop, client):
    code()
    assert "20% off with FRIEND20" in said(client.get("/code/FRIEND20/", follow=True))
    assert client.session["promotion_code"] == "FRIEND20"


def test_a_code_that_ended_on_the_way_is_told_at_the_till_and_forgotten(shop, account, alice, at_work):
    name = code()
    at_work.get("/code/FRIEND20/")
    gateway.post(f"/v1/promotion_codes/{name}", {"active": False}, idempotency_key="off")

    answer = at_work.post("/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2"}, follow=True)
    assert "not valid any more" in said(answer)
    assert not CheckoutIntent.objects.exists()

    assert (
        at_work.post("/billing/upgrade/", {"price": "hybrid_team_month", "quantity": "2"}).status_code == 303
    )


def test_a_code_on_a_running_plan_shows_the_next_charge_first_and_charges_exactly_that(
    shop, account, alice, at_work
):
    subscription = running(shop, account, alice)
    code()

    page = said(at_work.get("/billing/code/?code=friend20"))
    assert "$38.00" in page
    assert "$30.40" in page
    assert "Use FRIEND20, save $7.60" in page
    assert not at_stripe(shop, account, "subscription")[0]["discounts"]

    answer = at_work.post("/billing/code/", {"code": "FRIEND20"}, follow=True)
    assert "20% off with FRIEND20" in said(answer)
    subscription.refresh_from_db()
    assert subscription.next_charge_amount == 3040
    let_pass(account, subscription.current_period_end + timedelta(hours=2))
    assert Payment.objects.filter(account=account).order_by("created_at").last().amount_paid == 3040


def test_a_code_for_one_payment_is_gone_after_it(shop, account, alice, at_work):
    subscription = running(shop, account, alice)
    code("ONCE5", percent_off=None, duration_in_months=None, amount_off=500, currency="usd", duration="once")

    assert "$5.00 off with ONCE5, on one payment" in said(at_work.get("/billing/code/?code=ONCE5"))
    at_work.post("/billing/code/", {"code": "ONCE5"}, follow=True)
    let_pass(account, subscription.current_period_end + timedelta(hours=2))

    subscription.refresh_from_db()
    assert (subscription.discounts, subscription.next_charge_amount) == ([], 3800)
    assert "ONCE5" not in said(at_work.get("/billing/"))


def test_pressing_twice_or_from_two_windows_uses_it_once(shop, account, alice, at_work):
    running(shop, account, alice)
    code()
    at_work.post("/billing/code/", {"code": "FRIEND20"})
    second = at_work.post("/billing/code/", {"code": "FRIEND20"})

    assert second.status_code == 422
    assert "has a discount already" in said(second)
    assert len(at_stripe(shop, account, "subscription")[0]["discounts"]) == 1


@pytest.mark.parametrize("typed", ["NOSUCHCODE", "a b c", "<script>", "x" * 300, "ä"])
def test_a_code_that_is_none_is_refused_and_nothing_changes(shop, account, alice, at_work, typed):
    running(shop, account, alice)

    answer = at_work.get("/billing/code/", {"code": typed})
    assert answer.status_code == 422
    assert "not known, or not valid any more" in said(answer)
    assert at_work.post("/billing/code/", {"code": typed}).status_code == 422
    assert not at_stripe(shop, account, "subscription")[0]["discounts"]


def test_codes_that_ended_or_are_another_customer_s_or_for_first_purchases_are_refused(
    shop, account, alice, at_work, charlie
):
    running(shop, account, alice)
    other = Account.objects.get(person=charlie)
    theirs = buy(shop, other, charlie, "hybrid_payg_tokens").stripe_customer_id
    code("THEIRS", limits={"customer": theirs})
    code("FIRST", limits={"restrictions": {"first_time_transaction": True}})
    over = int((clock.now(account) - timedelta(days=1)).timestamp())
    code("OVER", limits={"expires_at": over})

    for name in ("THEIRS", "OVER"):
        assert "not known, or not valid any more" in said(at_work.get(f"/billing/code/?code={name}"))
    answer = at_work.post("/billing/code/", {"code": "FIRST"})
    assert "FIRST cannot be used for your plan" in said(answer)
    assert not at_stripe(shop, account, "subscription")[0]["discounts"]


def test_who_tries_codes_by_the_dozen_is_stopped(shop, account, alice, at_work):
    for number in range(30):
        at_work.get(f"/billing/code/?code=GUESS{number}")

    assert "Too many codes" in said(at_work.get("/billing/code/?code=FRIEND20"))


def test_members_cannot_use_codes_and_nobody_without_a_plan(shop, account, as_bob, at_work):
    code()
    as_bob.post("/account/switch/", {"account": str(account.pk)})
    assert as_bob.post("/billing/code/", {"code": "FRIEND20"}).status_code in (302, 403)
    assert "no plan running" in said(at_work.post("/billing/code/", {"code": "FRIEND20"}))


def test_when_stripe_does_not_answer_nothing_is_used(shop, account, alice, at_work, stripe_fails):
    running(shop, account, alice)
    code()
    stripe_fails(method="GET", path="/v1/promotion_codes", when="before", status=500, times=5)

    assert "could not be reached" in said(at_work.post("/billing/code/", {"code": "FRIEND20"}))
