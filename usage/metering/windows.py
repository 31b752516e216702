"""The window an account is in for a feature: from when to when, and how much the plan gives in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.urls import reverse

from accounts.models import Account
from billing import catalog, credits
from billing.catalog import Allowance
from billing.entitlements import Entitlements
from billing.gates import ON_HOLD
from usage import periods
from usage.metering.refusals import FeatureNotIncluded, UnknownFeature
from usage.models import UsageCounter
from usage.periods import Period

# To compare a daily allowance with a monthly one; months have no one length.
DAYS = {"day": 1, "week": 7, "month": 30}
# Until further notice; far enough, and every database can count to it.
FOREVER = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """One usage period of one feature, and what the plan gives in it.

    `included` units come with the plan (None: unlimited); with `is_metered` what is used beyond them is paid for.
    """

    feature: str
    period: Period
    included: int | None
    is_metered: bool
    allowance: Allowance | None
    # Until when, and as long as which stamp holds, this may be trusted without asking entitlements again.
    valid_until: datetime
    stamp: str


def of(rights: Entitlements, feature: str, *, now: datetime) -> Window:
    """The window of `feature` at `now` (the account's time). Reads only.

    Raises UnknownFeature; FeatureNotIncluded when the account is granted none of it and has no credits for it.
    """
    known = catalog.current().features.get(feature)
    if known is None or known.kind not in ("allowance", "metered"):
        raise UnknownFeature(
            f"{feature!r} is not something that is counted. See the features in the price list."
        )
    allowance = rights.allowance(feature)
    included = 0 if allowance is None else allowance.quantity
    is_metered = rights.is_metered(feature) and included is not None
    has_credits = (
        not rights.is_blocked and included == 0 and credits.left(rights.account, feature, now=now) > 0
    )
    if included == 0 and not is_metered and not has_credits:
        is_sold = is_more_sold(feature, limit=0, period=Period(now, now + timedelta(days=DAYS["month"])))
        way_out = " Choose a plan that does." if is_sold else ""
        raise FeatureNotIncluded(
            f"This account is on hold. {ON_HOLD}"
            if rights.is_blocked
            else f"{rights.plan.name} does not include {known.name}.{way_out}",
            feature=feature,
            reason=rights.reason if rights.is_blocked else "not_included",
            used=0,
            limit=0,
            comes_back_at=None,
            upgrade_url="" if rights.is_blocked else upgrade_url(),
            is_more_sold=is_sold and not rights.is_blocked,
            helps=("upgrade",) if is_sold and not rights.is_blocked else (),
        )
    # What has no allowance that comes back is counted by the month, for the pages.
    per = allowance.per if allowance is not None else "month"
    return Window(
        feature=feature,
        period=_period(rights.account, feature, per=per, anchor=rights.anchor, now=now),
        included=included,
        is_metered=is_metered,
        allowance=allowance,
        valid_until=rights.valid_until or FOREVER,
        stamp=rights.stamp,
    )


def _period(account: Account, feature: str, *, per: str, anchor: datetime, now: datetime) -> Period:
    """By the calendar; but an open day or week stays as it was opened, so that a change of zone grants nothing."""
    period = periods.containing(now=now, per=per, anchor=anchor, tz=account.timezone)
    if per == "month":
        return period
    longest = (period.end - period.start) + timedelta(hours=2)
    open_now = UsageCounter.objects.filter(
        account=account, feature=feature, period_start__lte=now, period_end__gt=now
    )
    for counter in open_now.order_by("-id"):
        if longest / 2 < counter.period_end - counter.period_start <= longest:
            return Period(counter.period_start, counter.period_end)
    return period


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
