"""What a subscription pays, by the price list of today."""

from __future__ import annotations

from billing import catalog
from billing.catalog import Price
from billing.models import Subscription


def price_of(subscription: Subscription) -> Price | None:
    """What a subscription pays, in its own currency; None where the price list does not know it."""
    prices = catalog.current().in_currency(subscription.currency)
    return prices.find_price(subscription.price_lookup_key)
