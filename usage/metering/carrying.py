"""Units counted in other windows that count in this one too: no change of plan grants the same days twice."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F, Q, Sum

from accounts.models import Account
from billing.access import Level
from billing.entitlements import Entitlements
from billing.models import Subscription
from usage import periods
from usage.models import UsageCounter, UsageRecord
from usage.periods import Period


def units(rights: Entitlements, feature: str, period: Period) -> int:
    """Units of other windows' allowances that count in `period`; what was paid for or burned from credits does not.

    Whatever was used since the window began counts in it. And when a purchase moves the anchor, the month begun under
    the old anchor counts whole, unless the month directly before this one has carried it already. But a month that
    was bought and lasted to its end is settled: who is then on the default plan has what it gives.
    """
    others = UsageCounter.objects.filter(
        account=rights.account,
        feature=feature,
        period_start__lt=period.end,
        period_end__gt=period.start,
    ).exclude(period_start=period.start)
    overlapping = [Period(start, end) for start, end in others.values_list("period_start", "period_end")]
    if overlapping and rights.level == Level.FREE:
        overlapping = _without_settled(overlapping, rights)
    if not overlapping:
        return 0
    counts = Q(recorded_at__gte=period.start)
    if _is_month(period) and not _has_month_before(rights.account, feature, period):
        counts |= Q(period_start__in=[other.start for other in overlapping if other.start < period.start])
    records = UsageRecord.objects.filter(
        counts,
        account=rights.account,
        feature=feature,
        period_start__in=[other.start for other in overlapping],
    )
    return records.aggregate(units=Sum(F("units") - F("credited") - F("billed")))["units"] or 0


def _without_settled(others: list[Period], rights: Entitlements) -> list[Period]:
    """Those that were not months of a subscription which ran out as agreed, without a failed payment, before now."""
    settled = []
    for subscription in Subscription.objects.filter(account=rights.account, first_failed_at=None):
        over_at = subscription.ended_at or subscription.cancel_at
        if over_at is None and subscription.cancel_at_period_end:
            over_at = subscription.current_period_end
        if over_at is not None and over_at <= rights.now:
            settled.append((subscription.billing_cycle_anchor, over_at))
    return [
        other
        for other in others
        if not any(
            other.end <= over_at and other == periods.containing(now=other.start, per="month", anchor=anchor)
            for anchor, over_at in settled
        )
    ]


def _is_month(period: Period) -> bool:
    return period.end - period.start > timedelta(days=20)


def _has_month_before(account: Account, feature: str, period: Period) -> bool:
    before = UsageCounter.objects.filter(account=account, feature=feature, period_end=period.start).first()
    return before is not None and _is_month(Period(before.period_start, before.period_end))
