"""Money held by the bank first and taken later, or let go."""

from __future__ import annotations

import pytest
import stripe

from tests.simulator.shop import Shop


def held(shop: Shop, amount: int = 5000) -> stripe.PaymentIntent:
    return shop.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "customer": shop.customer(),
            "payment_method": "pm_card_visa",
            "capture_method": "manual",
            "confirm": True,
        }
    )


def test_nothing_is_taken_before_it_is_captured(shop: Shop) -> None:
    payment = held(shop)
    assert (payment.status, payment.amount_capturable, payment.amount_received) == (
        "requires_capture",
        5000,
        0,
    )
    assert not shop.v1.charges.retrieve(str(payment.latest_charge)).captured

    payment = shop.v1.payment_intents.capture(payment.id)

    assert (payment.status, payment.amount_received) == ("succeeded", 5000)
    assert shop.v1.charges.retrieve(str(payment.latest_charge)).amount_captured == 5000
    assert shop.happened()[-2:] == ["charge.captured", "payment_intent.succeeded"]


def test_less_may_be_taken_and_the_rest_is_let_go(shop: Shop) -> None:
    payment = held(shop)
    with pytest.raises(stripe.InvalidRequestError, match="at most"):
        shop.v1.payment_intents.capture(payment.id, {"amount_to_capture": 5001})

    payment = shop.v1.payment_intents.capture(payment.id, {"amount_to_capture": 2000})

    charge = shop.v1.charges.retrieve(str(payment.latest_charge))
    assert (payment.amount_received, charge.amount_captured, charge.amount_refunded) == (2000, 2000, 3000)
    with pytest.raises(stripe.InvalidRequestError, match="could not be captured"):
        shop.v1.payment_intents.capture(payment.id)


def test_what_is_held_can_be_let_go_and_is_then_never_taken(shop: Shop) -> None:
    payment = shop.v1.payment_intents.cancel(held(shop).id, {"cancellation_reason": "abandoned"})

    assert (payment.status, payment.amount_capturable) == ("canceled", 0)
    with pytest.raises(stripe.InvalidRequestError, match="could not be captured"):
        shop.v1.payment_intents.capture(payment.id)


def test_a_refund_to_a_card_is_done_at_once_and_cannot_be_called_off(shop: Shop) -> None:
    payment = held(shop)
    shop.v1.payment_intents.capture(payment.id)
    refund = shop.v1.refunds.create({"payment_intent": payment.id})

    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        shop.v1.refunds.cancel(refund.id)
