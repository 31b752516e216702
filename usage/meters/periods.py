"""The moments that part one invoice's usage from the next one's, as far as our rows know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from billing.models import Subscription
from billing.models.subscriptions import SubscriptionItem

# An invoice of a period that ended is a draft for about an hour, and takes what comes in meanwhile:
# https://docs.stripe.com/billing/invoices/subscription#invoice-lifecycle
DRAFT = timedelta(hours=1)


def boundaries(account_ids: Collection[UUID]) -> dict[UUID, list[datetime]]:
    """Where a billing period of an account begins or ends, in order; usage on two sides of one stays apart."""
    found: dict[UUID, set[datetime]] = defaultdict(set)
    subscriptions = Subscription.objects.filter(account__in=account_ids)
    moments = ("started_at", "ended_at", "trial_end", "current_period_start", "current_period_end")
    for account_id, *known in subscriptions.values_list("account_id", *moments):
        found[account_id].update(moment for moment in known if moment is not None)
    items = SubscriptionItem.objects.filter(subscription__account__in=account_ids, is_metered=True)
    for account_id, start, end in items.values_list(
        "subscription__account_id", "current_period_start", "current_period_end"
    ):
        found[account_id].update((start, end))
    return {account_id: sorted(moments) for account_id, moments in found.items()}


def closed_at(account_id: UUID, occurred_at: datetime) -> datetime | None:
    """When the billing period of this moment ended, if our rows say that it has; its invoice is final an hour later.

    What reaches the meter after that is counted there and billed by no invoice.
    """
    ends = [
        *Subscription.objects.filter(
            account_id=account_id, started_at__lte=occurred_at, ended_at__gt=occurred_at
        ).values_list("ended_at", flat=True),
        *SubscriptionItem.objects.filter(
            Q(subscription__started_at__lte=occurred_at),
            subscription__account_id=account_id,
            subscription__is_live=True,
            is_metered=True,
            current_period_start__gt=occurred_at,
        ).values_list("current_period_start", flat=True),
    ]
    return min((end for end in ends if end is not None), default=None)
