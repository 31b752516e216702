"""The currency an account pays in: its plan's, else the one Stripe keeps it to, else the price list's own."""

from __future__ import annotations

import uuid

from billing import catalog
from billing.catalog import Catalog
from billing.models import Customer, Subscription


def of(account_id: uuid.UUID) -> str:
    """What an account's metered units are priced in, and so every sum and budget of them. A price list in one currency
    is answered for without asking the database.
    """
    prices = catalog.current()
    if len(prices.currencies) == 1:
        return prices.currency
    customer = Customer.objects.filter(account=account_id).first()
    live = Subscription.objects.live().filter(account=account_id).order_by("pk").first()
    return price_list(live, customer).currency


def price_list(subscription: Subscription | None, customer: Customer | None) -> Catalog:
    """The price list as it is for who has these.

    Stripe bills a customer in the currency of the first purchase (https://docs.stripe.com/billing/customer#currency).
    """
    paid_in = (subscription.currency if subscription else "") or (customer.currency if customer else "")
    return catalog.current().in_currency(paid_in)
