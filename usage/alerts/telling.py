"""The warnings as notifications: facts and numbers; the words are in templates/notifications/."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from accounts.notifications import notify
from billing import catalog, currencies, money
from billing.catalog import Feature
from billing.entitlements import Entitlements
from usage.metering import spending, windows
from usage.models import Budget, UsageCounter
from usage.periods import Period

if TYPE_CHECKING:
    from usage.alerts.sums import Cheaper

URGENT_FROM = 95
A_DAY = timedelta(days=1, hours=2)


def quota(counter: UsageCounter, *, threshold: int, percent: int, now: datetime) -> None:
    """So much of an allowance is used. To owners and admins, who can do something about it."""
    feature = catalog.current().features.get(counter.feature)
    assert counter.limit_units is not None
    if feature is None:
        return  # gone from the price list since it was used
    period = Period(counter.period_start, counter.period_end)
    notify(
        account=counter.account,
        kind="quota_urgent" if threshold >= URGENT_FROM else "quota",
        key=f"quota:{feature.key}:{counter.period_start.isoformat()}:{counter.limit_units}:{threshold}",
        now=now,
        context={
            "feature": feature.name,
            "feature_key": feature.key,
            "units": feature.unit_many,
            "threshold": threshold,
            "percent": percent,
            "used": counter.from_allowance,
            "limit": counter.limit_units,
            "used_text": _number(min(counter.from_allowance, counter.limit_units), feature),
            "limit_text": money.quantity(counter.limit_units, feature),
            "back_at": counter.period_end.isoformat(),
            "is_daily": is_daily(period),
            "is_used_up": percent >= 100,
            "goes_on": counter.asks_first or counter.paid_limit != 0,
            "is_more_sold": windows.is_more_sold(feature.key, limit=counter.limit_units, period=period),
        },
        # Nobody wants letters every day; the banner and the list in the site have it.
        by_mail=not is_daily(period),
    )


def paid_use(counter: UsageCounter, *, now: datetime) -> None:
    """What the plan includes is used, and from here on units are paid for: said once a window, at the crossing."""
    feature = catalog.current().features.get(counter.feature)
    if feature is None:
        return
    notify(
        account=counter.account,
        kind="paid_use",
        key=f"paid_use:{feature.key}:{counter.period_start.isoformat()}",
        now=now,
        context={
            "feature": feature.name,
            "feature_key": feature.key,
            "unit": feature.unit_one,
            "units": feature.unit_many,
            "limit_text": money.quantity(counter.limit_units, feature),
            "unit_amount": counter.unit_amount,
            "currency": currencies.of(counter.account_id),
            "back_at": counter.period_end.isoformat(),
        },
    )


def spend(rights: Entitlements, *, threshold: int, spent: int) -> None:
    """A sum that the customer named is reached."""
    month = spending.month(rights)
    notify(
        account=rights.account,
        kind="spend",
        key=f"spend:{month.start.isoformat()}:{threshold}",
        now=rights.now,
        context={**_month(rights), "amount": spent, "threshold": threshold},
    )


def budget(rights: Entitlements, budget: Budget, *, spent: int) -> None:
    """Nothing more fits into the budget; what would cost more is refused."""
    month = spending.month(rights)
    notify(
        account=rights.account,
        kind="budget_reached",
        key=f"budget_reached:{month.start.isoformat()}:{budget.amount}",
        now=rights.now,
        context={**_month(rights), "amount": spent, "budget": budget.amount},
    )


def cheaper(rights: Entitlements, better: Cheaper) -> None:
    """Once a month, whatever the plan is called by then."""
    month = spending.month(rights)
    included = [
        money.quantity(allowance.quantity, catalog.current().feature(key))
        + (f" {catalog.current().feature(key).unit_many}" if allowance.quantity is None else "")
        for key, allowance in better.plan.allowances.items()
        if key in spending.prices(rights)
    ]
    notify(
        account=rights.account,
        kind="cheaper_plan",
        key=f"cheaper_plan:{month.start.isoformat()}",
        now=rights.now,
        context={
            **_month(rights),
            "amount": better.spent,
            "plan": better.plan.name,
            "plan_key": better.plan.key,
            "price": better.amount,
            "included": " and ".join(included),
        },
    )


def is_daily(period: Period) -> bool:
    return period.end - period.start <= A_DAY


def _number(units: int, feature: Feature) -> str:
    """Beside the limit, which says what is counted."""
    return money.size(units) if feature.is_bytes else f"{units:,}"


def _month(rights: Entitlements) -> dict[str, str]:
    month = spending.month(rights)
    return {
        "from": month.start.isoformat(),
        "until": month.end.isoformat(),
        "currency": rights.currency,
    }
