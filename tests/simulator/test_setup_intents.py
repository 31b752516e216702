"""A card kept for later: proven, refused, changed, called off."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop


def test_a_card_is_kept_for_later_and_belongs_to_the_customer(shop: Shop) -> None:
    customer = shop.customer()
    intent = shop.v1.setup_intents.create({"customer": customer})
    assert intent.status == "requires_payment_method"

    intent = shop.v1.setup_intents.update(
        intent.id, {"payment_method": "pm_card_visa", "description": "For later", "metadata": {"a": "b"}}
    )
    assert intent.status == "requires_confirmation"
    intent = shop.v1.setup_intents.confirm(intent.id)

    assert (intent.status, intent.description) == ("succeeded", "For later")
    kept = shop.v1.customers.payment_methods.list(customer).data
    assert [method.id for method in kept] == [intent.payment_method]
    found = shop.v1.setup_intents.list({"payment_method": str(intent.payment_method)}).data
    assert [one.id for one in found] == [intent.id]


def test_a_finished_one_is_not_changed_confirmed_or_called_off(shop: Shop) -> None:
    intent = shop.v1.setup_intents.create(
        {"customer": shop.customer(), "payment_method": "pm_card_visa", "confirm": True}
    )

    for act in (
        lambda: shop.v1.setup_intents.update(intent.id, {"payment_method": "pm_card_mastercard"}),
        lambda: shop.v1.setup_intents.confirm(intent.id),
        lambda: shop.v1.setup_intents.cancel(intent.id),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            act()
        assert refusal.value.code == "setup_intent_unexpected_state"


def test_a_refused_card_is_not_kept_and_another_may_be_tried(shop: Shop) -> None:
    customer = shop.customer()
    intent = shop.v1.setup_intents.create({"customer": customer})

    with pytest.raises(stripe.CardError):
        shop.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})

    intent = shop.v1.setup_intents.retrieve(intent.id)
    assert intent.last_setup_error is not None and intent.last_setup_error.code == "card_declined"
    assert shop.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_a_bank_that_wants_to_see_the_customer_is_asked_and_one_called_off_stays_so(shop: Shop) -> None:
    intent = shop.v1.setup_intents.create(
        {"customer": shop.customer(), "payment_method": "pm_card_authenticationRequired", "confirm": True}
    )
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")  # type: ignore[union-attr]

    gone = shop.v1.setup_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})

    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
