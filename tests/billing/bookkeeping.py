"""All that billing has written down, as plain values: to compare two histories, and to go back."""

from typing import Any

from django.db.models import Model

from billing.models import (
    Alert,
    CheckoutIntent,
    Customer,
    Effect,
    Payment,
    PlanGrant,
    Subscription,
    SubscriptionItem,
    TrialRedemption,
    WebhookEvent,
)

BOOKS: tuple[type[Model], ...] = (
    CheckoutIntent,
    Customer,
    Effect,
    Payment,
    PlanGrant,
    Subscription,
    SubscriptionItem,
    TrialRedemption,
    Alert,
)
# How often and when we looked, not what we saw.
NOT_COMPARED = {
    "id",
    "subscription_id",
    "synced_at",
    "sync_wanted",
    "sync_served",
    "lease_token",
    "lease_expires_at",
    "lease_purpose",
    "access_version",
    "status_since",
    "times_seen",
    "raised_at",
    "last_seen_at",
    "created_at",
    "completed_at",
    "redeemed_at",
    "done_at",
}


def read() -> dict[str, list[str]]:
    """Every row of every book, without what only tells how often we looked."""
    return {
        book.__name__: sorted(
            repr(sorted((name, value) for name, value in row.items() if name not in NOT_COMPARED))
            for row in book._default_manager.values()
        )
        for book in BOOKS
    }


def remember() -> list[list[Any]]:
    """The rows as they are now, for `go_back`."""
    return [list(book._default_manager.all()) for book in BOOKS]


def go_back(remembered: list[list[Any]]) -> None:
    """As if nothing had happened since, on our side; Stripe remembers."""
    WebhookEvent.objects.all().delete()
    for book in (SubscriptionItem, *reversed(BOOKS)):
        book._default_manager.all().delete()
    for book, rows in zip(BOOKS, remembered, strict=True):
        book._default_manager.bulk_create(rows)
