"""The facts that messages have in common, as plain JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing import catalog
from billing.models import Customer, Subscription

# Stripe's names for card brands (https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-brand).
BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "eftpos_au": "Eftpos",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def plan_name(key: str) -> str:
    """As the price list calls it; a plan it has lost keeps its key."""
    plan = catalog.current().plans.get(key)
    return plan.name if plan else key


def iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def card(customer: Customer) -> str:
    """ "Visa ending in 4242"; nothing when there is no card."""
    if not customer.card_last4:
        return ""
    return f"{BRANDS.get(customer.card_brand, customer.card_brand or 'Card')} ending in {customer.card_last4}"


def is_by_use(subscription: Subscription) -> bool:
    """Whether units are charged after the fact, so that the next sum is not known before."""
    return subscription.items.filter(is_metered=True).exists()


def is_by_invoice(subscription: Subscription) -> bool:
    """Whether invoices are sent to be paid, so that no card is asked for or charged."""
    return subscription.collection_method == "send_invoice"


def next_charge(subscription: Subscription) -> dict[str, Any]:
    """What the next invoice will ask for, as previewed at the last sync."""
    return {"amount": subscription.next_charge_amount, "currency": subscription.currency}
