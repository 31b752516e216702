"""How much of each allowance is used and left, and when it comes back: what pages and the API show. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing import catalog, entitlements
from billing.entitlements import Entitlements
from usage.metering import windows
from usage.metering.refusals import FeatureNotIncluded
from usage.metering.windows import Window
from usage.models import UsageCounter


@dataclass(frozen=True, slots=True)
class Balance:
    """Units of one feature in the window [period_start, period_end), in the account's time.

    `limit` and `remaining` are None where there is no limit: unlimited, or metered and paid by the unit.
    """

    feature: str
    used: int
    limit: int | None
    remaining: int | None
    period_start: datetime
    period_end: datetime
    is_metered: bool

    @property
    def percent(self) -> int | None:
        """Used of the limit, 0 to 100, rounded down so that 100 means used up; None without a limit."""
        if self.limit is None:
            return None
        return 100 if self.used >= self.limit else self.used * 100 // self.limit


def balances(account: Account, *, now: datetime, rights: Entitlements | None = None) -> list[Balance]:
    """The balance of everything countable the account is granted at `now` (its own time), in the price list's order.

    `rights` saves asking for them again when the caller has them at this same `now`.
    """
    rights = rights or entitlements.of(account, now=now)
    found = []
    for feature in catalog.current().features.values():
        if feature.kind in ("allowance", "metered"):
            try:
                found.append(windows.of(rights, feature.key, now=now))
            except FeatureNotIncluded:
                continue
    used = windows.used_in(rights, found)
    return [_balance(window, used[window.feature], rights) for window in found]


def balance(account: Account, feature: str, *, now: datetime, rights: Entitlements | None = None) -> Balance:
    """The balance of one feature at `now` (the account's time).

    Raises UnknownFeature; FeatureNotIncluded when the account is granted none of it.
    """
    rights = rights or entitlements.of(account, now=now)
    window = windows.of(rights, feature, now=now)
    return _balance(window, windows.used_in(rights, [window])[feature], rights)


def _balance(window: Window, used: int, rights: Entitlements) -> Balance:
    return Balance(
        feature=window.feature,
        used=used,
        limit=window.limit,
        remaining=None if window.limit is None else max(window.limit - used - _reserved(window, rights), 0),
        period_start=window.period.start,
        period_end=window.period.end,
        is_metered=window.is_metered,
    )


def _reserved(window: Window, rights: Entitlements) -> int:
    reserved = UsageCounter.objects.filter(
        account=rights.account, feature=window.feature, period_start=window.period.start
    ).values_list("reserved", flat=True)
    return reserved.first() or 0
