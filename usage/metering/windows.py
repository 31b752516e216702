"""The window an account is in for a feature: from when to when, how much it grants, and what already counts in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Q, Sum
from django.urls import reverse

from accounts.models import Account
from billing import catalog, entitlements
from billing.access import Level
from billing.entitlements import Entitlements
from billing.models import Subscription
from usage import periods
from usage.metering.refusals import FeatureNotIncluded, UnknownFeature
from usage.models import UsageCounter, UsageRecord
from usage.periods import Period

# To compare a daily allowance with a monthly one; months have no one length.
DAYS = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True, slots=True)
class Window:
    """One usage period of one feature and what it grants. `limit` None: unlimited, or metered."""

    feature: str
    period: Period
    limit: int | None
    is_metered: bool
    # Until when, and as long as which stamp holds, this may be trusted without asking entitlements again.
    valid_until: datetime
    stamp: str


def of(rights: Entitlements, feature: str, *, now: datetime) -> Window:
    """The window of `feature` at `now` (the account's time). Reads only.

    Raises UnknownFeature; FeatureNotIncluded when the account is granted none of it.
    """
    known = catalog.current().features.get(feature)
    if known is None or known.kind not in ("allowance", "metered"):
        raise UnknownFeature(
            f"{feature!r} is not something that is counted. See the features in the price list."
        )
    allowance = rights.allowance(feature)
    is_metered = rights.is_metered(feature) and not (allowance is not None and allowance.quantity is None)
    if not is_metered and (allowance is None or allowance.quantity == 0):
        raise FeatureNotIncluded(
            f"{rights.plan.name} does not include {known.name}. Choose a plan that does.",
            feature=feature,
            reason=rights.reason if rights.is_blocked else "not_included",
            used=0,
            limit=0,
            comes_back_at=None,
            upgrade_url=upgrade_url(),
        )
    # An unlimited or metered feature is counted by the month, for the pages.
    per = allowance.per if allowance is not None else "month"
    period = _period(rights.account, feature, per=per, anchor=rights.anchor, now=now)
    return Window(
        feature=feature,
        period=period,
        limit=None if is_metered or allowance is None else allowance.quantity,
        is_metered=is_metered,
        valid_until=min(rights.valid_until or period.end, period.end),
        stamp=rights.stamp,
    )


def _period(account: Account, feature: str, *, per: str, anchor: datetime, now: datetime) -> Period:
    """By the calendar; but an open day or week stays as it was opened, so that a change of zone grants nothing."""
    period = periods.containing(now=now, per=per, anchor=anchor, tz=account.timezone)
    if per == "month":
        return period
    longest = (period.end - period.start) + timedelta(hours=2)
    for counter in _open_at(account, feature, now).order_by("-id"):
        if longest / 2 < counter.period_end - counter.period_start <= longest:
            return Period(counter.period_start, counter.period_end)
    return period


def open_counter(account: Account, feature: str, *, now: datetime) -> None:
    """Make the counter of the window at `now` say what entitlements say now; raises as `of` does.

    The row is made by the first use in its window. A row that is there keeps what it counted: an upgrade changes
    the limit, not what was used.
    """
    rights = entitlements.of(account, now=now)
    window = of(rights, feature, now=now)
    with transaction.atomic():
        _queue(account, feature)
        counter = (
            UsageCounter.objects.select_for_update()
            .filter(account=account, feature=feature, period_start=window.period.start)
            .first()
        )
        own = counter.used - counter.carried if counter else 0
        carried = _carried(rights, window)
        terms = {
            "limit_units": window.limit,
            "is_metered": window.is_metered,
            "valid_until": min(window.valid_until, counter.period_end) if counter else window.valid_until,
            "stamp": window.stamp,
            "carried": carried,
            "used": own + carried,
        }
        if counter:
            UsageCounter.objects.filter(pk=counter.pk).update(**terms)
        else:
            UsageCounter.objects.create(
                account=account,
                feature=feature,
                period_start=window.period.start,
                period_end=window.period.end,
                **terms,
            )


def _queue(account: Account, feature: str) -> None:
    """Wait for those counting right now; on SQLite the transaction already has."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{account.pk}:{feature}"]
            )


def used_in(rights: Entitlements, windows: Iterable[Window]) -> dict[str, int]:
    """Units that count in each window, by feature, also where its counter is not open yet. Reads only."""
    used = {}
    for window in windows:
        counter = UsageCounter.objects.filter(
            account=rights.account, feature=window.feature, period_start=window.period.start
        ).first()
        if counter is not None and counter.stamp == window.stamp:
            used[window.feature] = counter.used
        else:
            own = counter.used - counter.carried if counter else 0
            used[window.feature] = own + _carried(rights, window)
    return used


def _carried(rights: Entitlements, window: Window) -> int:
    """Units counted in other windows that count in this one too: no change of plan grants the same days twice.

    Whatever was used since the window began counts in it. And when a purchase moves the anchor, the month begun under
    the old anchor counts whole, unless the month directly before this one has carried it already. But a month that
    was bought and lasted to its end is settled: who is then on the default plan has what it gives.
    """
    period = window.period
    others = UsageCounter.objects.filter(
        account=rights.account,
        feature=window.feature,
        period_start__lt=period.end,
        period_end__gt=period.start,
    ).exclude(period_start=period.start)
    overlapping = [Period(start, end) for start, end in others.values_list("period_start", "period_end")]
    if overlapping and rights.level == Level.FREE:
        overlapping = _without_settled(overlapping, rights)
    if not overlapping:
        return 0
    counts = Q(recorded_at__gte=period.start)
    if _is_month(period) and not _has_month_before(rights.account, window):
        counts |= Q(period_start__in=[other.start for other in overlapping if other.start < period.start])
    records = UsageRecord.objects.filter(
        counts,
        account=rights.account,
        feature=window.feature,
        period_start__in=[other.start for other in overlapping],
    )
    return records.aggregate(units=Sum("units"))["units"] or 0


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


def _has_month_before(account: Account, window: Window) -> bool:
    before = UsageCounter.objects.filter(
        account=account, feature=window.feature, period_end=window.period.start
    ).first()
    return before is not None and _is_month(Period(before.period_start, before.period_end))


def _open_at(account: Account, feature: str, now: datetime) -> models.QuerySet[UsageCounter]:
    return UsageCounter.objects.filter(
        account=account, feature=feature, period_start__lte=now, period_end__gt=now
    )


def upgrade_url() -> str:
    """Where more can be bought; absolute, for callers that have no page of ours open."""
    return f"{settings.BASE_URL}{reverse('billing:pricing')}"


def is_more_sold(feature: str, *, limit: int, period: Period) -> bool:
    """Whether a plan of the price list gives more of `feature` than `limit` units in such a period."""
    days = (period.end - period.start) / timedelta(days=1)
    rate = limit / min(DAYS.values(), key=lambda usual: abs(usual - days))
    for plan in catalog.current().for_sale():
        allowance = plan.allowances.get(feature)
        if feature in plan.metered:
            return True
        if allowance is not None and (
            allowance.quantity is None or allowance.quantity / DAYS[allowance.per] > rate
        ):
            return True
    return False
