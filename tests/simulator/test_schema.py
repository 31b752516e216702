"""The simulator is held against the installed `stripe` package: shapes of answers, names of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import sdk

SOLD = [
    "customer",
    "product",
    "price",
    "subscription",
    "subscription_item",
    "invoice",
    "line_item",
    "payment_method",
    "payment_intent",
    "charge",
    "refund",
    "checkout.session",
    "billing_portal.session",
    "billing.meter",
    "billing.meter_event",
    "event",
    "balance",
    "test_helpers.test_clock",
    "webhook_endpoint",
    "coupon",
    "promotion_code",
    "invoice_payment",
    "setup_intent",
    "account",
]


def test_the_simulator_reads_the_api_version_of_the_sdk_that_is_installed() -> None:
    import stripe

    assert sdk.sdk_version() == stripe.VERSION
    assert sdk.api_version() == stripe.api_version


@pytest.mark.parametrize("name", SOLD)
def test_an_empty_object_of_every_kind_we_sell_with_lacks_only_its_references(name: str) -> None:
    empty = sdk.skeleton(name)

    assert empty["object"] == name
    left = [
        problem
        for problem in sdk.problems(empty)
        if "got str" not in problem and "data.object" not in problem
    ]
    assert left == []


def _product(**changed: Any) -> dict[str, Any]:
    return sdk.skeleton("product") | {"id": "prod_1", "name": "Pro"} | changed


def test_a_right_object_has_no_problems_and_a_wrong_one_says_where() -> None:
    assert sdk.problems(_product()) == []

    assert sdk.problems(_product(colour="red")) == ["$.colour: undeclared"]
    assert sdk.problems(_product(active="yes")) == ["$.active: wants bool, got str yes"]
    assert sdk.problems(_product(created=None)) == ["$.created: null, but never null at Stripe"]
    assert sdk.problems(_product(images="a.png")) == ["$.images: wants a list, got str a.png"]
    without_name = _product()
    del without_name["name"]
    assert sdk.problems(without_name) == ["$.name: missing"]


def test_an_enumerated_word_stripe_does_not_use_is_a_problem_even_where_the_enumeration_is_open() -> None:
    subscription = sdk.skeleton("subscription") | {"id": "sub_1", "customer": "cus_1"}

    assert sdk.problems(subscription | {"status": "past_due"}) == []
    assert "'overdue' is none of" in sdk.problems(subscription | {"status": "overdue"})[0]


def test_lists_events_and_expanded_objects_are_looked_into() -> None:
    wrong = _product(active=1)
    listed = {"object": "list", "data": [wrong], "has_more": False, "url": "/v1/products"}
    event = sdk.skeleton("event") | {"id": "evt_1", "type": "product.created", "data": {"object": wrong}}
    price = sdk.skeleton("price") | {"id": "price_1", "product": wrong}

    assert sdk.problems(listed) == ["$.data[0].active: wants bool, got int 1"]
    assert "$.data.object.active: wants bool, got int 1" in sdk.problems(event)
    assert sdk.problems(price) == ["$.product.active: wants bool, got int 1"]


def test_an_object_of_the_wrong_kind_in_a_reference_is_a_problem() -> None:
    price = sdk.skeleton("price") | {"id": "price_1", "product": sdk.skeleton("coupon")}

    assert sdk.problems(price) == ["$.product: wants a product, got 'coupon'"]


def test_a_deleted_object_carries_three_keys_and_no_more() -> None:
    stone = {"id": "cus_1", "object": "customer", "deleted": True}

    assert sdk.problems(stone) == []
    assert sdk.problems(stone | {"email": "a@b.example"}) == ["$.email: undeclared on a deleted object"]


def test_a_key_stripe_still_sends_although_the_sdk_forgot_it_can_be_tolerated_by_name() -> None:
    assert sdk.problems(_product(plan=None), extras=frozenset({"product.plan"})) == []


def test_an_unknown_parameter_is_named_as_stripe_names_it_however_deep_it_sits() -> None:
    tree = sdk.allowed_params("checkout.session", "create")
    assert tree is not None
    good: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [{"price": "price_1", "quantity": "2"}],
        "metadata": {"anything": "goes"},
        "subscription_data": {"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}},
    }

    assert sdk.unknown_param(tree, good) is None
    assert sdk.unknown_param(tree, good | {"ui": "x"}) == "ui"
    assert sdk.unknown_param(tree, good | {"line_items": [{"prise": "x"}]}) == "line_items[0][prise]"
    assert sdk.unknown_param(tree, good | {"subscription_data": {"trial": "1"}}) == "subscription_data[trial]"


def test_a_required_parameter_is_asked_for_and_a_nested_one_only_beside_its_parent() -> None:
    tree = sdk.allowed_params("price", "create")
    assert tree is not None

    assert sdk.missing_param(tree, {}) == "currency"
    assert sdk.missing_param(tree, {"currency": "usd"}) is None
    assert sdk.missing_param(tree, {"currency": "usd", "recurring": {}}) == "recurring[interval]"


@pytest.mark.parametrize(
    ("given", "param", "said", "code"),
    [
        ({"unit_amount": "abc"}, "unit_amount", "Invalid integer: abc", "parameter_invalid_integer"),
        ({"unit_amount": ""}, "unit_amount", "You passed an empty string for", "parameter_invalid_empty"),
        ({"active": "yes"}, "active", "Invalid boolean: yes", None),
        ({"unit_amount_decimal": "1,5"}, "unit_amount_decimal", "Invalid decimal: 1,5", None),
        ({"tiers": "many"}, "tiers", "Invalid array", None),
        ({"recurring": "monthly"}, "recurring", "Invalid hash", None),
        ({"recurring": ["month"]}, "recurring", "Invalid hash", None),
        ({"nickname": {"a": "b"}}, "nickname", "Invalid string: {'a': 'b'}", None),
        (
            {"tiers": [{"up_to": "soon"}]},
            "tiers[0][up_to]",
            "Invalid integer: soon",
            "parameter_invalid_integer",
        ),
        (
            {"recurring": {"interval": "decade"}},
            "recurring[interval]",
            "Invalid recurring[interval]: must be one of day, month, week, or year",
            None,
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_however_deep_it_sits(
    given: dict[str, Any], param: str, said: str, code: str | None
) -> None:
    tree = sdk.allowed_params("price", "create")
    assert tree is not None

    wrong = sdk.wrong_param(tree, {"currency": "usd"} | given)

    assert wrong is not None
    assert (wrong.param, wrong.code) == (param, code)
    assert wrong.message.startswith(said)


def test_a_value_of_the_right_kind_is_taken_and_what_can_be_cleared_may_be_empty() -> None:
    price = sdk.allowed_params("price", "create")
    subscription = sdk.allowed_params("subscription", "update")
    assert price is not None
    assert subscription is not None

    tiers = [{"up_to": "10", "unit_amount": "5"}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    assert (
        sdk.wrong_param(price, {"currency": "usd", "tiers": tiers, "active": "false", "nickname": ""}) is None
    )
    given = {"trial_end": "now", "metadata": "", "cancel_at": "", "default_payment_method": "pm_1"}
    assert sdk.wrong_param(subscription, given) is None
    assert sdk.wrong_param(subscription, {"trial_end": "1795248000"}) is None


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/customers", ("customer", "create")),
        ("GET", "/v1/customers/search", ("customer", "search")),
        ("DELETE", "/v1/subscriptions/sub_1", ("subscription", "cancel")),
        ("POST", "/v1/checkout/sessions/cs_1/expire", ("checkout.session", "expire")),
        ("POST", "/v1/test_helpers/test_clocks/clock_1/advance", ("test_helpers.test_clock", "advance")),
    ],
)
def test_the_route_alone_tells_which_parameters_go(
    method: str, path: str, operation: tuple[str, str]
) -> None:
    assert sdk.params_for(method, path) == sdk.allowed_params(*operation)


def test_a_route_or_operation_the_sdk_never_calls_has_no_parameters() -> None:
    assert sdk.params_for("POST", "/v1/nothing") is None
    assert sdk.allowed_params("customer", "explode") is None


def _thin(**more: Any) -> dict[str, Any]:
    return {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-21T08:00:00.000Z",
        "livemode": False,
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
        **more,
    }


def test_a_thin_event_is_looked_into_as_deeply_and_its_letter_is_another_thing() -> None:
    request = {"error_message": "No customer.", "request": {"identifier": "use-1"}}
    kinds = [{"code": "meter_event_no_customer_defined", "error_count": 1, "sample_errors": [request]}]
    data = {
        "developer_message_summary": "There is 1 invalid event",
        "reason": {"error_count": 1, "error_types": kinds},
        "validation_start": "2026-11-21T08:00:00.000Z",
        "validation_end": "2026-11-21T08:05:00.000Z",
    }
    whole = _thin(data=data, changes=None, context=None, reason=None)

    assert sdk.problems(_thin()) == []
    assert sdk.problems(_thin(colour="red")) == ["$.colour: undeclared"]
    assert sdk.problems(whole) == []
    kinds[0]["code"] = "odd"
    assert "$.data.reason.error_types[0].code: 'odd' is none of" in sdk.problems(whole)[0]
    assert sdk.problems(_thin(type="v2.core.nothing")) == ["$: no object is called 'v2.core.event'"]


def test_a_refusal_must_be_one_that_stripe_could_say() -> None:
    error = {"type": "invalid_request_error", "message": "No such customer: 'cus_1'", "param": "id"}

    assert sdk.refusal_problems({"error": error}) == []
    assert sdk.refusal_problems({"error": error, "hint": "x"}) == ["$: a refusal is one error"]
    assert sdk.refusal_problems({"error": error | {"colour": "red"}}) == ["$.error.colour: undeclared"]
    assert "'oops' is none of" in sdk.refusal_problems({"error": error | {"type": "oops"}})[0]
    assert sdk.refusal_problems({"error": error | {"message": ""}}) == ["$.error.message: missing"]
