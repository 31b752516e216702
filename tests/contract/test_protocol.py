"""How Stripe speaks, whatever it is asked: keys that repeat, words it does not know, pages, opened references."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.contract.counterpart import Counterpart


def test_the_same_key_and_words_make_one_customer_and_the_replay_says_so(stripe_side: Counterpart) -> None:
    given: dict[str, Any] = {"email": stripe_side.email()}
    options: Any = {"idempotency_key": f"contract-{stripe_side.mark}"}

    first = stripe_side.v1.customers.create(given, options)  # type: ignore[arg-type]
    stripe_side.later(lambda: stripe_side.v1.customers.delete(first.id))
    second = stripe_side.v1.customers.create(given, options)  # type: ignore[arg-type]

    assert first.id == second.id
    assert second.last_response is not None
    headers = {name.lower(): value for name, value in second.last_response.headers.items()}
    assert headers["idempotent-replayed"] == "true"
    assert len(stripe_side.v1.customers.list({"email": stripe_side.email()}).data) == 1


def test_the_same_key_with_other_words_is_refused(stripe_side: Counterpart) -> None:
    options: Any = {"idempotency_key": f"contract-{stripe_side.mark}"}
    made = stripe_side.v1.customers.create({"name": "Kim"}, options)
    stripe_side.later(lambda: stripe_side.v1.customers.delete(made.id))

    with pytest.raises(stripe.IdempotencyError) as refused:
        stripe_side.v1.customers.create({"name": "Lee"}, options)

    assert refused.value.http_status == 400


@pytest.mark.parametrize(
    ("given", "named"),
    [({"colour": "red"}, "colour"), ({"invoice_settings": {"colour": "red"}}, "invoice_settings[colour]")],
)
def test_a_word_it_does_not_know_is_named(stripe_side: Counterpart, given: Any, named: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_side.v1.customers.create(given)

    assert (refused.value.http_status, refused.value.code) == (400, "parameter_unknown")
    assert named in str(refused.value.user_message)


def test_a_word_it_needs_is_asked_for(stripe_side: Counterpart) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_side.v1.prices.create({"unit_amount": 100, "product_data": {"name": "Pro"}})  # type: ignore[typeddict-item]

    assert (refused.value.http_status, refused.value.code, refused.value.param) == (
        400,
        "parameter_missing",
        "currency",
    )


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"amount": "plenty"}, "unit_amount", "parameter_invalid_integer"),
        ({"recurring": {"interval": "decade"}}, "recurring[interval]", None),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(
    stripe_side: Counterpart, given: Any, param: str, code: str | None
) -> None:
    product = stripe_side.product()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        stripe_side.price(product=product, **given)

    assert (refused.value.http_status, refused.value.param) == (400, param)
    if code:
        assert refused.value.code == code


def test_what_does_not_exist_is_said_to_be_missing(stripe_side: Counterpart) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        stripe_side.v1.customers.retrieve("cus_nobody")
    with pytest.raises(stripe.InvalidRequestError) as named:
        stripe_side.v1.subscriptions.create({"customer": "cus_nobody", "items": [{"price": "price_none"}]})

    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert (named.value.http_status, named.value.code) == (400, "resource_missing")


def test_a_key_that_is_none_is_not_let_in(stripe_side: Counterpart) -> None:
    stranger = stripe.StripeClient(
        "sk_test_wrong", base_addresses={"api": stripe_side.address.base}, max_network_retries=0
    )

    with pytest.raises(stripe.AuthenticationError) as refused:
        stranger.v1.customers.list()

    assert refused.value.http_status == 401


def test_a_list_is_paged_both_ways_newest_first(stripe_side: Counterpart) -> None:
    made = [stripe_side.customer(name=f"Kim {number}") for number in range(5)]
    ours: dict[str, Any] = {"email": stripe_side.email(), "limit": 2}
    stripe_side.until(lambda: len(stripe_side.v1.customers.list(ours | {"limit": 10}).data) == 5)  # type: ignore[arg-type]

    first = stripe_side.v1.customers.list(ours)  # type: ignore[arg-type]
    second = stripe_side.v1.customers.list(ours | {"starting_after": first.data[-1].id})  # type: ignore[arg-type]
    back = stripe_side.v1.customers.list(ours | {"ending_before": second.data[0].id})  # type: ignore[arg-type]
    everybody = [customer.id for customer in first.auto_paging_iter()]

    assert (len(first.data), first.has_more) == (2, True)
    assert [it.id for it in back.data] == [it.id for it in first.data]
    assert sorted(everybody) == sorted(made)
    assert [it.id for it in first.data + second.data] == everybody[:4]
    # Two made within one second have no order between them.
    whens = [customer.created for customer in first.auto_paging_iter()]
    assert whens == sorted(whens, reverse=True)


def test_a_reference_is_opened_on_request(stripe_side: Counterpart) -> None:
    product = stripe_side.product()
    price = stripe_side.price(product=product)

    plain = stripe_side.v1.prices.retrieve(price)
    opened = stripe_side.v1.prices.retrieve(price, {"expand": ["product"]})

    assert plain.product == product
    assert isinstance(opened.product, stripe.Product)
    assert opened.product.id == product
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        stripe_side.v1.prices.retrieve(price, {"expand": ["currency"]})


def test_notes_on_an_object_are_merged_and_an_empty_one_is_taken_off(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer(metadata={"plan": "pro", "seats": "3"})

    changed = stripe_side.v1.customers.update(customer, {"metadata": {"seats": "", "team": "red"}})

    assert changed.to_dict()["metadata"] == {"plan": "pro", "team": "red"}


def test_a_deleted_customer_leaves_a_stone(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()

    gone = stripe_side.v1.customers.delete(customer)
    left = stripe_side.v1.customers.retrieve(customer)

    assert gone.to_dict() == {"id": customer, "object": "customer", "deleted": True}
    assert left.deleted is True


def test_a_customer_is_found_by_what_is_noted_on_him(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()
    query = f"metadata['contract']:'{stripe_side.mark}'"

    found = stripe_side.until(lambda: stripe_side.v1.customers.search({"query": query}).data)

    assert [it.id for it in found] == [customer]
