"""Going shopping in the tests: choose a price, press the button on Stripe's page, let time pass."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts.models import Account, User
from billing import catalog, clock
from billing.lifecycle import checkout, jumps
from billing.models import CheckoutIntent, Customer, Subscription
from simulator.hosted import checkout as page

if TYPE_CHECKING:
    from simulator.core import Simulator

VISA = "4242424242424242"
DECLINED = "4000000000000002"
DECLINED_LATER = "4000000000000341"  # is saved without complaint, and declined whenever it is charged


def card(number: str = VISA) -> dict[str, Any]:
    return {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}


def go_to_the_till(account: Account, user: User, price: str, quantity: int = 1) -> CheckoutIntent:
    return checkout.start(
        account=account,
        price=catalog.current().price(price),
        quantity=quantity,
        user=user,
        now=clock.now(account),
    )


def pay(shop: "Simulator", intent: CheckoutIntent, number: str = VISA) -> page.Outcome:
    """Fill in the card form of the hosted page and press the button."""
    assert intent.stripe_session_id
    return page.pay(
        shop, intent.stripe_session_id, card=card(number), email="buyer@example.com", name="A Buyer"
    )


def buy(shop: "Simulator", account: Account, user: User, price: str, quantity: int = 1) -> Subscription:
    """All the way: the button, the page, the card, the way back."""
    intent = go_to_the_till(account, user, price, quantity)
    assert pay(shop, intent).status == "paid"
    assert intent.stripe_session_id
    assert checkout.complete(account=account, session_id=intent.stripe_session_id) == "active"
    return Subscription.objects.live().get(account=account)


def let_pass(account: Account, to: datetime) -> datetime:
    return jumps.advance(account=account, to=to)


def at_stripe(shop: "Simulator", account: Account, kind: str) -> list[dict[str, Any]]:
    """What Stripe has of this account, looked up behind its counter; oldest first."""
    row = Customer.objects.get(account=account)
    ids = [row.stripe_customer_id, *row.former_stripe_ids]
    return [entry for stripe_id in ids if stripe_id for entry in shop.store.find(kind, "customer", stripe_id)]


def change_card(shop: "Simulator", account: Account, number: str) -> None:
    """What the portal does when a customer enters another card."""
    from billing.stripe import gateway

    customer = Customer.objects.get(account=account).stripe_customer_id
    token = {DECLINED_LATER: "pm_card_chargeCustomerFail", VISA: "pm_card_visa"}[number]
    method = gateway.post(
        f"/v1/payment_methods/{token}/attach", {"customer": customer}, idempotency_key=f"{customer}:{token}"
    )
    gateway.post(
        f"/v1/customers/{customer}",
        {"invoice_settings": {"default_payment_method": method["id"]}},
        idempotency_key=f"{customer}:default:{method['id']}",
    )
    for subscription in Subscription.objects.live().filter(account=account):
        gateway.post(
            f"/v1/subscriptions/{subscription.stripe_subscription_id}",
            {"default_payment_method": method["id"]},
            idempotency_key=f"{subscription.stripe_subscription_id}:{method['id']}",
        )
