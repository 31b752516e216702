"""From Stripe's documents to the values of our rows: pure, so that any order of letters ends in the same rows."""

from billing.lifecycle.projection.marks import OFFER_KEY, PAUSED_FROM
from billing.lifecycle.projection.payments import of_card, of_payment
from billing.lifecycle.projection.subscriptions import SubscriptionValues, of_subscription

__all__ = [
    "OFFER_KEY",
    "PAUSED_FROM",
    "SubscriptionValues",
    "of_card",
    "of_payment",
    "of_subscription",
]
