"""Doors to the pages Stripe hosts: a checkout session and a portal session, as objects; nobody walks through."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.contract.counterpart import Counterpart


def _session(side: Counterpart, **more: Any) -> stripe.checkout.Session:
    given: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [{"price": side.price(2900), "quantity": 2}],
        "success_url": "https://shop.example/welcome?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/pricing",
        "client_reference_id": side.mark,
    }
    made = side.v1.checkout.sessions.create(given | more)
    side.later(lambda: side.v1.checkout.sessions.expire(made.id))
    return made


def test_a_checkout_is_open_unpaid_and_knows_what_is_bought(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()

    made = _session(stripe_side, customer=customer)

    assert (made.status, made.payment_status, made.mode) == ("open", "unpaid", "subscription")
    assert (made.customer, made.amount_total, made.currency) == (customer, 5800, "usd")
    assert made.client_reference_id == stripe_side.mark
    assert made.url
    assert made.url.startswith("http")
    assert made.subscription is None
    assert "line_items" not in made.to_dict()
    lines = stripe_side.v1.checkout.sessions.line_items.list(made.id).data
    assert [(it.quantity, it.amount_total) for it in lines] == [(2, 5800)]


def test_a_checkout_that_expired_cannot_be_paid_and_is_told(stripe_side: Counterpart) -> None:
    made = _session(stripe_side)

    over = stripe_side.v1.checkout.sessions.expire(made.id)

    assert (over.status, over.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.v1.checkout.sessions.expire(made.id)
    stripe_side.until(lambda: _was_told(stripe_side, made.id))


def _was_told(side: Counterpart, session: str) -> bool:
    page = side.v1.events.list({"types": ["checkout.session.expired"], "limit": 100})
    return any(event.data.object["id"] == session for event in page.data)


def test_a_checkout_without_anything_to_buy_is_refused(stripe_side: Counterpart) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        stripe_side.v1.checkout.sessions.create({"mode": "payment", "success_url": "https://shop.example/"})


def test_the_portal_opens_for_a_customer_with_what_it_may_show(stripe_side: Counterpart) -> None:
    customer = stripe_side.customer()
    shown = stripe_side.v1.billing_portal.configurations.create(
        {
            "features": {
                "invoice_history": {"enabled": True},
                "payment_method_update": {"enabled": True},
                "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            },
            "business_profile": {"headline": "Kim's shop"},
        }
    )
    stripe_side.later(
        lambda: stripe_side.v1.billing_portal.configurations.update(shown.id, {"active": False})
    )

    door = stripe_side.v1.billing_portal.sessions.create(
        {"customer": customer, "configuration": shown.id, "return_url": "https://shop.example/account"}
    )

    assert (door.customer, door.configuration) == (customer, shown.id)
    assert door.return_url == "https://shop.example/account"
    assert door.url.startswith("http")
    assert shown.features.subscription_cancel.mode == "at_period_end"
    assert shown.features.customer_update.enabled is False
