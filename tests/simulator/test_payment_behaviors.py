"""What becomes of a subscription, and of a change, whose payment does not come at once: each way it may be asked."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from simulator.hosted import checkout
from tests.simulator.shop import DAY, NEW_YEAR, Shop, at

DECLINES, ASKS = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


def running(shop: Shop, then: str = DECLINES) -> tuple[str, stripe.Subscription]:
    """A subscription paid by a good card, whose customer's card is another one since."""
    customer = shop.customer(pays_with="pm_card_visa")
    subscription = shop.subscribe(shop.price(1000), customer=customer)
    shop.give_card(customer, then)
    return customer, subscription


def upgrade(shop: Shop, subscription: stripe.Subscription, behavior: str, **more: Any) -> stripe.Subscription:
    change: Any = {
        "items": [{"id": subscription["items"].data[0].id, "price": shop.price(5000, name="Max")}],
        "proration_behavior": "always_invoice",
        "payment_behavior": behavior,
    }
    return shop.v1.subscriptions.update(subscription.id, change | more)


def amount(subscription: stripe.Subscription) -> int | None:
    found: int | None = subscription["items"].data[0].price.unit_amount
    return found


@pytest.mark.parametrize(
    ("behavior", "token", "tries", "intent"),
    [
        ("allow_incomplete", DECLINES, 1, "requires_payment_method"),
        ("allow_incomplete", ASKS, 0, "requires_action"),
        ("default_incomplete", DECLINES, 0, "requires_payment_method"),
        ("default_incomplete", "pm_card_visa", 0, "requires_payment_method"),
    ],
)
def test_a_first_payment_that_did_not_come_leaves_the_subscription_incomplete(
    shop: Shop, behavior: str, token: str, tries: int, intent: str
) -> None:
    customer = shop.customer(pays_with=token)
    subscription = shop.subscribe(shop.price(), customer=customer, payment_behavior=behavior)

    assert subscription.status == "incomplete"
    assert len(shop.v1.charges.list({"customer": customer}).data) == tries
    assert [one.status for one in shop.v1.payment_intents.list({"customer": customer}).data] == [intent]
    shop.advance(hours=22)
    assert shop.subscription(subscription.id).status == "incomplete"
    shop.advance(hours=1)
    assert shop.subscription(subscription.id).status == "incomplete_expired"


@pytest.mark.parametrize(
    ("token", "code"), [(DECLINES, "card_declined"), (ASKS, "subscription_payment_intent_requires_action")]
)
def test_or_there_is_no_subscription_at_all(shop: Shop, token: str, code: str) -> None:
    customer = shop.customer(pays_with=token)

    with pytest.raises(stripe.CardError) as refusal:
        shop.subscribe(shop.price(), customer=customer, payment_behavior="error_if_incomplete")

    assert (refusal.value.http_status, refusal.value.code) == (402, code)
    assert shop.v1.subscriptions.list({"customer": customer, "status": "all"}).data == []
    assert shop.invoices(customer) == []


def test_a_new_subscription_has_nothing_to_wait_with(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="only for updates"):
        shop.subscribe(
            shop.price(),
            customer=shop.customer(pays_with="pm_card_visa"),
            payment_behavior="pending_if_incomplete",
        )


@pytest.mark.parametrize(
    ("behavior", "token", "tries"),
    [("allow_incomplete", DECLINES, 1), ("allow_incomplete", ASKS, 0), ("default_incomplete", DECLINES, 0)],
)
def test_a_change_takes_hold_and_is_owed(shop: Shop, behavior: str, token: str, tries: int) -> None:
    customer, subscription = running(shop, token)

    after = upgrade(shop, subscription, behavior)

    assert (after.status, amount(after)) == ("past_due", 5000)
    assert shop.invoices(customer)[-1].status == "open"
    failed = [one for one in shop.v1.charges.list({"customer": customer}).data if not one.paid]
    assert len(failed) == tries
    shop.v1.invoices.pay(
        shop.invoices(customer)[-1].id, {"payment_method": shop.give_card(customer, "pm_card_visa")}
    )
    assert shop.subscription(subscription.id).status == "active"


@pytest.mark.parametrize("token", [DECLINES, ASKS])
def test_a_change_that_cannot_be_paid_may_not_happen_at_all(shop: Shop, token: str) -> None:
    customer, subscription = running(shop, token)

    with pytest.raises(stripe.CardError):
        upgrade(shop, subscription, "error_if_incomplete")

    assert amount(shop.subscription(subscription.id)) == 1000
    assert len(shop.invoices(customer)) == 1
    assert shop.v1.invoice_items.list({"customer": customer, "pending": True}).data == []


def test_a_change_waits_for_the_bank_and_holds_when_it_has_agreed(shop: Shop) -> None:
    customer, subscription = running(shop, ASKS)
    held = upgrade(shop, subscription, "pending_if_incomplete", metadata={"plan": "max"})
    assert (held.status, amount(held), held.metadata.to_dict()) == ("active", 1000, {})
    assert held.pending_update is not None
    assert held.pending_update.expires_at == NEW_YEAR + 23 * 3600

    invoice = shop.v1.invoices.retrieve(shop.invoices(customer)[-1].id, {"expand": ["payments"]})
    assert invoice.payments is not None
    intent = str(invoice.payments.data[0].payment.payment_intent)
    checkout.finish_authentication(shop.sim, intent, ok=True)

    after = shop.subscription(subscription.id)
    assert (after.pending_update, amount(after), after.metadata.to_dict()) == (None, 5000, {"plan": "max"})
    assert "customer.subscription.pending_update_applied" in shop.happened()


def test_a_change_nobody_pays_for_is_given_up_with_its_invoice(shop: Shop) -> None:
    customer, subscription = running(shop)
    upgrade(shop, subscription, "pending_if_incomplete")

    shop.advance(hours=23)

    after = shop.subscription(subscription.id)
    assert (after.status, after.pending_update, amount(after)) == ("active", None, 1000)
    assert shop.invoices(customer)[-1].status == "void"
    assert "customer.subscription.pending_update_expired" in shop.happened()


def test_a_change_waits_no_longer_than_the_period_it_is_for(shop: Shop) -> None:
    _, subscription = running(shop)
    shop.advance(to=at(2026, 2, 28) - 3600)

    held = upgrade(shop, subscription, "pending_if_incomplete")

    assert held.pending_update is not None and held.pending_update.expires_at == at(2026, 2, 28)
    shop.advance(hours=2)
    assert amount(shop.subscription(subscription.id)) == 1000


@pytest.mark.parametrize("more", [{"cancel_at_period_end": True}, {"description": "x"}])
def test_what_cannot_wait_is_not_told_together_with_what_can(shop: Shop, more: dict[str, Any]) -> None:
    _, subscription = running(shop)

    with pytest.raises(stripe.InvalidRequestError, match="pending_if_incomplete"):
        upgrade(shop, subscription, "pending_if_incomplete", **more)

    assert shop.subscription(subscription.id).pending_update is None


def test_a_paid_change_holds_at_once_however_it_was_asked(shop: Shop) -> None:
    for behavior in ("allow_incomplete", "error_if_incomplete", "pending_if_incomplete"):
        _, subscription = running(shop, "pm_card_visa")
        after = upgrade(shop, subscription, behavior)
        assert (after.status, amount(after), after.pending_update) == ("active", 5000, None)


def test_a_renewal_the_bank_asks_about_is_paid_by_its_customer_or_retried(shop: Shop) -> None:
    customer, subscription = running(shop, ASKS)
    shop.advance(to=at(2026, 2, 28, 14))
    assert shop.subscription(subscription.id).status == "past_due"
    invoice = shop.v1.invoices.retrieve(shop.invoices(customer)[-1].id, {"expand": ["payments"]})
    assert invoice.payments is not None
    intent = str(invoice.payments.data[0].payment.payment_intent)
    told = shop.happened()
    assert told.index("payment_intent.requires_action") < told.index("invoice.payment_action_required")

    refused = checkout.finish_authentication(shop.sim, intent, ok=False)

    assert refused.status == "declined"
    assert shop.v1.payment_intents.retrieve(intent).status == "requires_payment_method"
    assert invoice.next_payment_attempt == at(2026, 2, 28, 13) + 3 * DAY
    shop.give_card(customer, "pm_card_visa")
    shop.advance(days=3)
    assert shop.subscription(subscription.id).status == "active"
    assert shop.invoices(customer)[-1].status == "paid"
