"""Calls that go wrong on request, before or after they took effect, and what the official SDK makes of it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator.visitor import Visitor

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 50", "cvc": "123"}
ERRORS = {
    0: stripe.APIConnectionError,
    409: stripe.APIError,
    429: stripe.RateLimitError,
    500: stripe.APIError,
    503: stripe.APIError,
}


@pytest.fixture(autouse=True)
def calm(sim: Simulator, house: Running) -> Iterator[None]:
    """Nothing goes wrong any more when a test is over."""
    yield
    pull(house, "POST", "reset")


def pull(house: Running, verb: str, lever: str, **given: Any) -> Any:
    body = json.dumps(given).encode() if verb == "POST" else None
    request = urllib.request.Request(f"{house.url}/_sim/{lever}", body, method=verb)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("status", list(ERRORS))
@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_a_call_fails_as_told_before_or_after_it_took_effect(
    house: Running, api: stripe.StripeClient, status: int, when: str, left: int
) -> None:
    pull(house, "POST", "failures", method="POST", path="/v1/customers", status=status, when=when)

    with pytest.raises(ERRORS[status]) as failed:
        api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "order-1"})

    assert failed.value.http_status == (status or None)
    assert len(api.v1.customers.list().data) == left
    # Whoever repeats it with its key ends with one customer either way.
    api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "order-1"})
    assert len(api.v1.customers.list().data) == 1


def test_only_the_nth_of_a_kind_fails_and_as_often_as_told(house: Running, api: stripe.StripeClient) -> None:
    pull(house, "POST", "failures", path="/v1/customers", method="POST", status=503, skip=2, times=2)
    api.v1.products.create({"name": "of another kind"})

    went = []
    for name in "ABCDE":
        try:
            api.v1.customers.create({"name": name})
            went.append(name)
        except stripe.APIError:
            went.append("-")

    assert went == ["A", "B", "-", "-", "E"]
    assert pull(house, "GET", "failures") == {"data": []}


def test_what_was_to_fail_can_be_called_off(house: Running, api: stripe.StripeClient) -> None:
    pull(house, "POST", "failures", path="*", status=500, times=100)
    pull(house, "DELETE", "failures")

    assert api.v1.customers.create({"name": "Ada"}).name == "Ada"


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_garbage_instead_of_an_answer_does_not_say_whether_it_worked(
    house: Running, api: stripe.StripeClient, when: str, left: int
) -> None:
    pull(house, "POST", "failures", path="/v1/customers", method="POST", how="garbage", when=when)

    with pytest.raises(stripe.APIError, match="Invalid response body"):
        api.v1.customers.create({"name": "Ada"})

    assert len(api.v1.customers.list().data) == left


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_slow_answer_is_the_true_one(house: Running, api: stripe.StripeClient, when: str) -> None:
    pull(house, "POST", "failures", path="/v1/customers", how="slow", when=when, delay_seconds=0.3)
    began = time.monotonic()

    made = api.v1.customers.create({"name": "Ada"})

    assert time.monotonic() - began >= 0.3
    assert [it.id for it in api.v1.customers.list().data] == [made.id]


def test_a_caller_that_does_not_wait_long_enough_cannot_know_that_it_worked(
    house: Running, api: stripe.StripeClient
) -> None:
    pull(house, "POST", "failures", path="/v1/customers", how="slow", when="after", delay_seconds=2)
    hasty = stripe.StripeClient(
        "sk_test_" + "0" * 24,
        base_addresses={"api": house.url},
        http_client=stripe.RequestsClient(timeout=0.3),
        max_network_retries=0,
    )

    with pytest.raises(stripe.APIConnectionError):
        hasty.v1.customers.create({"name": "Ada"})

    assert [it.name for it in api.v1.customers.list().data] == ["Ada"]


def test_a_conflict_and_a_rate_limit_look_like_stripes(house: Running, api: stripe.StripeClient) -> None:
    pull(house, "POST", "failures", path="/v1/customers", status=409)
    with pytest.raises(stripe.APIError) as conflict:
        api.v1.customers.create({"name": "Ada"})
    assert conflict.value.json_body["error"]["code"] == "idempotency_key_in_use"  # type: ignore[index]

    kim = Visitor(house.url)
    kim.open("/_page/faults").press("Set limit", per_second="3")
    with pytest.raises(stripe.RateLimitError):
        for _ in range(20):
            api.v1.customers.list()
    kim.open("/_page/faults").press("Set limit", per_second="0")
    for _ in range(20):
        api.v1.customers.list()


def test_the_sdks_own_retries_get_through_two_failures(house: Running, sim: Simulator) -> None:
    patient = stripe.StripeClient(
        "sk_test_" + "0" * 24, base_addresses={"api": house.url}, max_network_retries=3
    )
    pull(house, "POST", "failures", path="/v1/customers", method="POST", status=500, when="after")
    pull(house, "POST", "failures", path="/v1/customers", method="POST", status=409)

    patient.v1.customers.create({"name": "Ada"}, {"idempotency_key": "order-9"})

    assert len(patient.v1.customers.list().data) == 1
    tries = pull(house, "GET", "requests?idempotency_key=order-9")["data"]
    assert [it["status"] for it in reversed(tries)] == [500, 409, 200]


def test_the_log_answers_what_became_of_one_key(house: Running, api: stripe.StripeClient) -> None:
    for name in ("Ada", "Bo"):
        api.v1.customers.create({"name": name}, {"idempotency_key": f"order-{name}"})

    (entry,) = pull(house, "GET", "requests?idempotency_key=order-Bo")["data"]

    assert (entry["method"], entry["path"], entry["body"]) == ("POST", "/v1/customers", "name=Bo")
    assert pull(house, "GET", "requests?idempotency_key=order-Cy")["data"] == []


def test_who_closes_the_window_after_a_flow_in_the_portal_has_still_done_it(
    house: Running, api: stripe.StripeClient
) -> None:
    customer = api.v1.customers.create({"email": "kim@example.com"}).id
    card = api.v1.payment_methods.attach("pm_card_visa", {"customer": customer}).id
    price = api.v1.prices.create(
        {
            "currency": "usd",
            "unit_amount": 2900,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Pro"},
        }
    )
    bought = api.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": price.id}], "default_payment_method": card}
    )
    pull(house, "POST", "returns", forget=["portal"])
    door = api.v1.billing_portal.sessions.create(
        {
            "customer": customer,
            "return_url": "https://shop.example/",
            "flow_data": {
                "type": "subscription_cancel",
                "subscription_cancel": {"subscription": bought.id},
                "after_completion": {
                    "type": "redirect",
                    "redirect": {"return_url": "https://shop.example/bye"},
                },
            },
        }
    )

    kim = Visitor(house.url).open(door.url)
    kim.press("Cancel subscription")

    assert "The window was closed" in kim.text
    assert "https://shop.example/bye" in kim.source
    assert api.v1.subscriptions.retrieve(bought.id).cancel_at_period_end is True
