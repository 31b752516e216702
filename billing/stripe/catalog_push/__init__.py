"""Brings a price list to Stripe: what is there, what differs, and the acts that make it so. Safe twice.

A product has an id made of the catalog and the plan, a price is found by its lookup key, a meter by its
event name and the portal's configuration by its metadata, so a second push, a crashed one and two at once end
in the same objects.
"""

from __future__ import annotations

from billing.catalog import Catalog
from billing.stripe.catalog_push import meters, portal, prices, products
from billing.stripe.catalog_push.diff import CannotPush, Change

__all__ = ["CannotPush", "Change", "changes"]


def changes(catalog: Catalog) -> list[Change]:
    """What a push would do, in the order to do it. Asks Stripe, changes nothing.

    Raises CannotPush and gateway.StripeError.
    """
    counted = meters.changes(catalog)
    there = products.at_stripe(catalog)
    return [
        *counted.changes,
        *products.changes(catalog, there),
        *prices.changes(catalog, counted.ids),
        *prices.left_over(catalog, there),
        *products.left_over(catalog, there),
        *portal.changes(catalog),
    ]
