"""The moments that part one invoice's usage from the next one's, as far as our rows know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Min

from billing.lifecycle import waived
from billing.models import Subscription
from billing.models.subscriptions import SubscriptionItem

# An invoice of a period that ended is a draft for about an hour, and takes what comes in meanwhile:
# https://docs.stripe.com/billing/invoices/subscription#invoice-lifecycle
DRAFT = timedelta(hours=1)
# Acts still count on a plan that has just ended, until our rows know.
UNTIL_KNOWN = timedelta(minutes=5)


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


def invoiced_at(account_id: UUID, occurred_at: datetime) -> datetime | None:
    """From when on the invoice of the billing period of this moment takes no more, if our rows say that it ended.

    What reaches the meter after that is counted there and billed by no invoice. A period that ran to its end has a
    draft for an hour; a plan that was ended before has its last invoice at once.
    """
    begun = Subscription.objects.filter(account_id=account_id, started_at__lte=occurred_at)
    live = begun.live().order_by("-started_at").first()
    if live is not None:
        renewed = live.items.filter(is_metered=True, current_period_start__gt=occurred_at)
        start = renewed.aggregate(first=Min("current_period_start"))["first"]
        return start + DRAFT if start else None
    last = ended_plan(account_id, occurred_at)
    if last is None or last.ended_at is None:
        return None
    ran_to_its_end = last.current_period_end and last.current_period_end <= last.ended_at
    return last.ended_at + DRAFT if ran_to_its_end else last.ended_at


def ended_plan(account_id: UUID, occurred_at: datetime) -> Subscription | None:
    """The plan of this moment, where it is over by now and none of then still runs."""
    return next(iter(_ended_plans(account_id, occurred_at)), None)


def is_waived(account_id: UUID, occurred_at: datetime) -> bool:
    """Whether nobody is to pay for what was used at this moment: its plan's money went back, and the plan with it.

    Where another plan ran as well, as beside one that was bought twice, that one pays.
    """
    plans = _ended_plans(account_id, occurred_at)
    ran = [plan for plan in plans if plan.ended_at is not None and plan.ended_at > occurred_at] or plans[:1]
    return bool(ran) and all(waived.is_waived(plan) for plan in ran)


def _ended_plans(account_id: UUID, occurred_at: datetime) -> list[Subscription]:
    """The newest first; none while one of then still runs."""
    begun = Subscription.objects.filter(account_id=account_id, started_at__lte=occurred_at)
    if begun.live().exists():
        return []
    ended = begun.filter(ended_at__gt=occurred_at - UNTIL_KNOWN).exclude(status="incomplete_expired")
    return list(ended.order_by("-started_at"))
