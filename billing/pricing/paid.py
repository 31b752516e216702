"""What a subscription pays, by the price list of today."""

from __future__ import annotations

from billing import catalog
from billing.catalog import Price
from billing.models import Subscription


def price_of(subscription: Subscription) -> Price | None:
    """What a subscription pays, in its own currency; None where the price list does not know it, or not in that."""
    price = catalog.current().find_price(subscription.price_lookup_key)
    if price is None or not price.is_sold_in(subscription.currency):
        return None
    return price.in_currency(subscription.currency)
