"""What older callers and Stripe's own tools still say: plans, sources, coupons on customers, money in and out."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator.shop import Shop


@pytest.fixture
def say(sim: Simulator, house: Running) -> Any:
    """A call without `Stripe-Version`, as from curl; answers status and body."""

    def say(path: str, **given: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": "Bearer sk_test_" + "0" * 24}
        request = urllib.request.Request(house.url + path, urlencode(given).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    return say


def _types(api: stripe.StripeClient) -> list[str]:
    return [event.type for event in reversed(api.v1.events.list({"limit": 100}).data)]


def test_a_coupon_put_on_a_customer_the_old_way_is_their_discount_until_it_is_taken_off(
    api: stripe.StripeClient, say: Any
) -> None:
    half = api.v1.coupons.create({"percent_off": 50}).id
    third = api.v1.coupons.create({"percent_off": 30}).id

    _, kim = say("/v1/customers", coupon=half, email="kim@example.com")
    assert kim["discount"]["source"]["coupon"] == half
    _, kim = say(f"/v1/customers/{kim['id']}", coupon=third)
    assert kim["discount"]["source"]["coupon"] == third
    _, kim = say(f"/v1/customers/{kim['id']}", coupon="")

    assert kim["discount"] is None
    assert [kind for kind in _types(api) if "discount" in kind] == [
        "customer.discount.created",
        "customer.discount.updated",
        "customer.discount.deleted",
    ]


def test_a_caller_of_todays_version_is_told_that_customers_take_no_coupon(api: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: coupon"):
        api.v1.customers.create({"coupon": "HALF"})  # type: ignore[typeddict-unknown-key]


def test_a_coupon_that_does_not_exist_is_said_the_old_way_too(say: Any) -> None:
    status, said = say("/v1/promotion_codes", coupon="nothing")

    assert (status, said["error"]["code"]) == (400, "resource_missing")


def test_a_plan_is_a_price_one_can_subscribe_to(shop: Shop, api: stripe.StripeClient) -> None:
    plan = api.v1.plans.create(
        {"amount": 2000, "currency": "usd", "interval": "month", "product": {"name": "Old Pro"}}
    )
    kim = shop.customer(pays_with="pm_card_visa")

    subscription = api.v1.subscriptions.create({"customer": kim, "items": [{"price": plan.id}]})

    assert subscription.status == "active"
    assert api.v1.plans.update(plan.id, {"nickname": "old"}).nickname == "old"
    api.v1.plans.delete(plan.id)
    assert not api.v1.prices.retrieve(plan.id).active


def test_a_schedule_with_iterations_lasts_that_many_periods(shop: Shop, say: Any) -> None:
    price, kim = shop.price(), shop.customer(pays_with="pm_card_visa")

    status, schedule = say(
        "/v1/subscription_schedules",
        **{
            "customer": kim,
            "start_date": "now",
            "phases[0][iterations]": 3,
            "phases[0][items][0][price]": price,
        },
    )

    assert status == 200
    days = (schedule["phases"][0]["end_date"] - schedule["phases"][0]["start_date"]) / 86_400
    assert 89 <= days <= 92


def test_a_source_is_a_card_object_of_the_customers(api: stripe.StripeClient, say: Any) -> None:
    kim = api.v1.customers.create({"name": "Kim"}).id

    _, card = say(f"/v1/customers/{kim}/sources", source="tok_visa")
    _, named = say(f"/v1/customers/{kim}/sources/{card['id']}", name="Kim Doe")
    status, _ = say(f"/v1/customers/{kim}/sources/card_unknown", name="Kim")

    assert (card["object"], card["last4"], named["name"], status) == ("card", "4242", "Kim Doe", 404)


def test_money_goes_to_the_bank_and_comes_from_it(api: stripe.StripeClient) -> None:
    out = api.v1.payouts.create({"amount": 1100, "currency": "usd"})
    api.v1.payouts.update(out.id, {"metadata": {"for": "rent"}})
    into = api.v1.topups.create({"amount": 2000, "currency": "usd"})

    assert api.v1.payouts.retrieve(out.id).metadata["for"] == "rent"  # type: ignore[index]
    assert api.v1.topups.retrieve(into.id).status == "pending"
    assert _types(api) == ["payout.created", "payout.updated", "topup.created"]
    with pytest.raises(stripe.InvalidRequestError, match="greater than or equal to 1"):
        api.v1.payouts.create({"amount": 0, "currency": "usd"})


def test_a_payment_link_is_kept_and_can_be_switched_off(shop: Shop, api: stripe.StripeClient) -> None:
    link = api.v1.payment_links.create({"line_items": [{"price": shop.price(), "quantity": 1}]})

    api.v1.payment_links.update(link.id, {"active": False})

    assert not api.v1.payment_links.retrieve(link.id).active
    assert "payment_link.updated" in _types(api)


def test_a_bank_transfer_arrives_in_the_cash_balance(api: stripe.StripeClient) -> None:
    kim = api.v1.customers.create({"name": "Kim"}).id

    for amount in (1000, 500):
        api.v1.test_helpers.customers.fund_cash_balance(kim, {"amount": amount, "currency": "eur"})

    assert api.v1.customers.cash_balance.retrieve(kim).available["eur"] == 1500  # type: ignore[index]
    sums = [entry.ending_balance for entry in api.v1.customers.cash_balance_transactions.list(kim).data]
    assert sums == [1500, 1000]


def test_a_report_is_there_at_once(api: stripe.StripeClient) -> None:
    run = api.v1.reporting.report_runs.create(
        {"report_type": "balance.summary.1", "parameters": {"interval_start": 1, "interval_end": 2}}
    )

    assert api.v1.reporting.report_runs.retrieve(run.id).status == "succeeded"
    assert _types(api) == ["reporting.report_run.succeeded"]


def test_the_cli_pays_a_session_behind_its_page(shop: Shop, api: stripe.StripeClient, say: Any) -> None:
    session = api.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": shop.price(), "quantity": 1}],
            "success_url": "https://shop.example/",
        }
    )
    card = api.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": {"email": "kim@example.com"}}
    )

    wrong, _ = say(f"/v1/payment_pages/{session.id}/confirm", payment_method=card.id, expected_amount=1)
    right, _ = say(f"/v1/payment_pages/{session.id}/confirm", payment_method=card.id, expected_amount=2900)

    assert (wrong, right) == (400, 200)
    assert api.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
