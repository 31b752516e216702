"""Buying on the hosted page: what a customer may do there, and what Stripe then has and tells."""

from __future__ import annotations

import pytest
import stripe

from simulator.hosted import checkout, portal
from tests.simulator.shop import DAY, NEW_YEAR, Shop, card

DECLINES = {
    "4000000000000002": ("card_declined", "generic_decline"),
    "4000000000009995": ("card_declined", "insufficient_funds"),
    "4000000000000069": ("expired_card", None),
    "4000000000000127": ("incorrect_cvc", None),
    "4000000000000341": ("card_declined", "generic_decline"),
    "4242424242424241": ("incorrect_number", None),
}


def test_a_newcomer_pays_and_has_an_active_subscription(shop: Shop) -> None:
    price = shop.price()
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": price, "quantity": 3}],
            "success_url": "https://shop.example/{CHECKOUT_SESSION_ID}",
            "client_reference_id": "account-42",
            "subscription_data": {"metadata": {"account": "42"}},
        }
    )
    assert session.url is not None and session.status == "open"
    assert (session.amount_total, session.payment_status) == (8700, "unpaid")

    outcome = shop.pay(session.id, email="kim@example.com", name="Kim")

    assert outcome.status == "paid"
    done = shop.v1.checkout.sessions.retrieve(
        session.id, {"expand": ["subscription.latest_invoice", "customer"]}
    )
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert done.client_reference_id == "account-42"
    assert done.customer.email == "kim@example.com"  # type: ignore[union-attr]
    subscription = done.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert subscription.status == "active"
    assert subscription.metadata.to_dict() == {"account": "42"}
    assert subscription["items"].data[0].quantity == 3
    assert subscription.default_payment_method is not None
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == (
        "paid",
        8700,
        "subscription_create",
    )
    assert invoice.lines.data[0].description == "3 × Pro (at $29.00 / month)"


def test_a_first_payment_is_told_in_the_order_recorded_from_stripe(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer)
    before = len(shop.happened())

    shop.pay(session)

    told = [kind for kind in shop.happened()[before:] if not kind.startswith("customer.updated")]
    assert told == [
        "payment_method.attached",
        "customer.subscription.created",
        "invoice.created",
        "payment_intent.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice_payment.paid",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "checkout.session.completed",
    ]


@pytest.mark.parametrize("number", DECLINES)
def test_a_card_that_is_declined_leaves_nothing_bought(shop: Shop, number: str) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer)

    outcome = shop.pay(session, number)

    assert outcome.status == "declined" and outcome.message
    assert (outcome.code, outcome.decline_code) == DECLINES[number]
    assert shop.v1.checkout.sessions.retrieve(session).status == "open"
    assert shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []
    assert shop.pay(session).status == "paid"


def test_an_expired_card_date_is_refused_before_the_bank_is_asked(shop: Shop) -> None:
    session = shop.session(shop.price(), customer=shop.customer())

    outcome = checkout.pay(shop.sim, session, card={**card(), "exp_year": 20})

    assert (outcome.status, outcome.code) == ("declined", "invalid_expiry_year")


@pytest.mark.parametrize("number", ["4000000000003220", "4000002500003155", "4000002760003184"])
def test_a_bank_that_wants_to_see_its_customer_is_satisfied(shop: Shop, number: str) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer)

    asked = shop.pay(session, number)
    assert asked.status == "requires_action" and asked.intent is not None
    payment = shop.v1.payment_intents.retrieve(asked.intent)
    assert payment.status == "requires_action"
    assert payment.next_action is not None and payment.next_action.redirect_to_url is not None
    assert shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []

    assert checkout.finish_authentication(shop.sim, asked.intent, ok=True).status == "paid"

    found = shop.v1.subscriptions.list(
        {"customer": customer, "expand": ["data.latest_invoice.payments"]}
    ).data[0]
    assert found.status == "active"
    invoice = found.latest_invoice
    assert isinstance(invoice, stripe.Invoice) and invoice.payments is not None
    assert invoice.payments.data[0].payment.payment_intent == asked.intent


def test_a_failed_authentication_lets_the_customer_try_another_card(shop: Shop) -> None:
    session = shop.session(shop.price(), customer=shop.customer())
    asked = shop.pay(session, "4000000000003220")

    refused = checkout.finish_authentication(shop.sim, asked.intent or "", ok=False)

    assert (refused.status, refused.code) == ("declined", "payment_intent_authentication_failure")
    assert shop.v1.payment_intents.retrieve(asked.intent or "").status == "requires_payment_method"
    assert shop.pay(session).status == "paid"


def test_a_trial_takes_the_card_and_no_money(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer, subscription_data={"trial_period_days": 14})
    assert shop.v1.checkout.sessions.retrieve(session).amount_total == 0

    assert shop.pay(session).status == "paid"

    done = shop.v1.checkout.sessions.retrieve(session, {"expand": ["subscription.latest_invoice"]})
    assert done.payment_status == "no_payment_required"
    subscription = done.subscription
    assert isinstance(subscription, stripe.Subscription)
    assert (subscription.status, subscription.trial_end) == ("trialing", NEW_YEAR + 14 * DAY)
    assert subscription["items"].data[0].current_period_end == NEW_YEAR + 14 * DAY
    assert subscription.default_payment_method is not None
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice) and (invoice.status, invoice.amount_due) == ("paid", 0)
    assert shop.v1.charges.list({"customer": customer}).data == []


def test_a_trial_with_a_bank_that_asks_waits_for_the_answer(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer, subscription_data={"trial_period_days": 7})

    asked = shop.pay(session, "4000002760003184")
    assert asked.status == "requires_action" and (asked.intent or "").startswith("seti_")
    assert checkout.finish_authentication(shop.sim, asked.intent or "", ok=True).status == "paid"

    assert shop.v1.subscriptions.list({"customer": customer}).data[0].status == "trialing"


def test_a_trial_without_a_card_asks_for_none(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.session(
        shop.price(),
        customer=customer,
        payment_method_collection="if_required",
        subscription_data={
            "trial_period_days": 7,
            "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
        },
    )

    assert checkout.pay(shop.sim, session, card=None).status == "paid"

    assert shop.v1.subscriptions.list({"customer": customer}).data[0].default_payment_method is None
    shop.advance(days=8)
    ended = shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data[0]
    assert ended.status == "canceled"


def test_a_saved_card_pays_without_being_typed_again(shop: Shop) -> None:
    customer = shop.customer(pays_with="pm_card_mastercard")
    session = shop.session(shop.price(), customer=customer)

    saved = checkout.saved_card(shop.sim, session)
    assert saved is not None and saved["card"]["brand"] == "mastercard"
    assert checkout.pay(shop.sim, session, card=None).status == "paid"


def test_a_promotion_code_lowers_the_first_invoice_only(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "once"})
    shop.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})
    customer = shop.customer()
    session = shop.session(shop.price(), customer=customer, allow_promotion_codes=True)

    with pytest.raises(Exception, match="This code is invalid"):
        checkout.apply_promotion_code(shop.sim, session, "NOSUCH")
    checkout.apply_promotion_code(shop.sim, session, "half")
    assert shop.v1.checkout.sessions.retrieve(session).amount_total == 1450
    shop.pay(session)
    shop.advance(days=32)

    assert [invoice.amount_paid for invoice in shop.invoices(customer)] == [1450, 2900]


def test_a_session_is_over_after_a_day(shop: Shop) -> None:
    session = shop.session(shop.price(), customer=shop.customer())

    shop.advance(days=1)

    assert shop.v1.checkout.sessions.retrieve(session).status == "expired"
    assert "checkout.session.expired" in shop.happened()
    with pytest.raises(checkout.NotOpen):
        shop.pay(session)


def test_an_open_session_can_be_expired_and_a_paid_one_cannot(shop: Shop) -> None:
    customer = shop.customer()
    price = shop.price()
    first, second = shop.session(price, customer=customer), shop.session(price, customer=customer)
    found = shop.v1.checkout.sessions.list({"customer": customer, "status": "open"}).data
    assert {session.id for session in found} == {first, second}

    assert shop.v1.checkout.sessions.expire(first).status == "expired"
    shop.pay(second)

    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        shop.v1.checkout.sessions.expire(second)


def test_metered_and_flat_prices_are_bought_together(shop: Shop) -> None:
    customer = shop.customer()
    session = shop.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": shop.price(1000), "quantity": 1}, {"price": shop.metered()}],
            "success_url": "https://shop.example",
        }
    )
    items = shop.v1.checkout.sessions.line_items.list(session.id).data
    assert {item.quantity for item in items} == {1, None}

    shop.pay(session.id)

    subscription = shop.v1.subscriptions.list({"customer": customer}).data[0]
    assert [item.quantity for item in subscription["items"].data] == [1, None]
    assert shop.invoices(customer)[0].amount_paid == 1000


def test_metered_prices_take_no_quantity(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="quantity for metered"):
        shop.session(shop.metered(), customer=shop.customer())


def test_a_single_payment_needs_no_subscription(shop: Shop) -> None:
    customer = shop.customer()
    price = shop.v1.prices.create(
        {"currency": "usd", "unit_amount": 5000, "product_data": {"name": "Credits"}}
    ).id
    session = shop.session(price, customer=customer, mode="payment")

    assert shop.pay(session).status == "paid"

    done = shop.v1.checkout.sessions.retrieve(session, {"expand": ["payment_intent"]})
    assert isinstance(done.payment_intent, stripe.PaymentIntent)
    assert (done.payment_status, done.payment_intent.amount_received) == ("paid", 5000)


def test_the_portal_cancels_resumes_and_changes_the_card(shop: Shop) -> None:
    customer = shop.customer()
    shop.pay(shop.session(shop.price(), customer=customer))
    name = shop.v1.subscriptions.list({"customer": customer}).data[0].id
    door = shop.v1.billing_portal.sessions.create(
        {"customer": customer, "return_url": "https://shop.example"}
    )
    assert door.url.endswith(f"/p/session/{door.id}")

    portal.cancel(shop.sim, door.id, name, reason="too_expensive", comment="Sorry")
    canceled = shop.subscription(name)
    assert canceled.cancel_at_period_end
    assert canceled.cancel_at == canceled["items"].data[0].current_period_end
    assert canceled.cancellation_details is not None
    assert canceled.cancellation_details.feedback == "too_expensive"

    portal.resume(shop.sim, door.id, name)
    resumed = shop.subscription(name)
    assert (resumed.cancel_at_period_end, resumed.cancel_at, resumed.canceled_at) == (False, None, None)

    assert portal.change_card(shop.sim, door.id, card("5555555555554444")).status == "paid"
    method = shop.v1.payment_methods.retrieve(str(shop.subscription(name).default_payment_method))
    assert method.card is not None and method.card.last4 == "4444"
    assert portal.change_card(shop.sim, door.id, card("4000000000000002")).status == "declined"


def test_the_portal_shows_nobody_elses_subscription(shop: Shop) -> None:
    kim, lee = shop.customer(), shop.customer()
    shop.pay(shop.session(shop.price(), customer=kim))
    name = shop.v1.subscriptions.list({"customer": kim}).data[0].id
    door = shop.v1.billing_portal.sessions.create({"customer": lee})

    with pytest.raises(Exception, match="No such subscription"):
        portal.cancel(shop.sim, door.id, name)
