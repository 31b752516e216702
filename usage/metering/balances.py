"""How much of each allowance is used and left, and when it comes back: what pages and the API show. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing import catalog, entitlements
from billing.entitlements import Entitlements
from usage.metering import carrying, holding, spending, terms, windows
from usage.metering.refusals import FeatureNotIncluded
from usage.metering.windows import Window
from usage.models import UsageCounter


@dataclass(frozen=True, slots=True)
class Balance:
    """Units of one feature in the window [period_start, period_end), in the account's time.

    `used` were drawn from the allowance (`included` with the plan, and `rolled_over`), from credits (`credited`) and
    paid by the unit (`billed`, at `cost` minor units, in the account's currency, this billing month).
    `limit` is where `used` ends as things stand, `remaining` what is left to it beside what is `reserved`; both are
    None where there is no end: unlimited, or paid by the unit without a budget. Credits still there are not in them.
    """

    feature: str
    used: int
    limit: int | None
    remaining: int | None
    period_start: datetime
    period_end: datetime
    is_metered: bool
    # None is unlimited.
    included: int | None
    rolled_over: int
    credited: int
    billed: int
    reserved: int
    cost: int

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
                found.append(balance(account, feature.key, now=now, rights=rights))
            except FeatureNotIncluded:
                continue
    return found


def balance(account: Account, feature: str, *, now: datetime, rights: Entitlements | None = None) -> Balance:
    """The balance of one feature at `now` (the account's time).

    Raises UnknownFeature; FeatureNotIncluded when the account is granted none of it.
    """
    rights = rights or entitlements.of(account, now=now)
    window = windows.of(rights, feature, now=now)
    counter = _counter(rights, window)
    price = spending.prices(rights).get(feature) if counter.billed else None
    return Balance(
        feature=feature,
        used=counter.used,
        limit=counter.limit,
        remaining=_remaining(counter),
        period_start=window.period.start,
        period_end=window.period.end,
        is_metered=window.is_metered,
        included=window.included,
        rolled_over=counter.rolled_over,
        credited=counter.credited,
        billed=counter.billed,
        reserved=counter.reserved + counter.paid_reserved,
        cost=price.charge(spending.units_paid(rights, feature)) if price else 0,
    )


def _counter(rights: Entitlements, window: Window) -> UsageCounter:
    """The window's counter as the next act will find it, also where it is not open yet or was told other terms."""
    known = {
        "account": rights.account,
        "feature": window.feature,
        "period_start": window.period.start,
    }
    counter = UsageCounter.objects.filter(**known).first()
    if counter is not None and (counter.reserved or counter.paid_reserved):
        counter.reserved, counter.paid_reserved = holding.reserved(
            rights.account, window.feature, window.period, now=rights.now
        )
    if counter is not None and counter.stamp == window.stamp and rights.now < counter.valid_until:
        return counter
    own = counter.used - counter.carried if counter is not None else 0
    told = terms.of(rights, window, counter=counter)
    counter = counter or UsageCounter(**known, period_end=window.period.end)
    counter.used = own + carrying.units(rights, window.feature, window.period)
    counter.limit_units, counter.rolled_over = told.limit_units, told.rolled_over
    counter.paid_limit = told.paid_limit
    return counter


def _remaining(counter: UsageCounter) -> int | None:
    if counter.limit is None:
        return None
    return max(counter.limit - counter.used - counter.reserved - counter.paid_reserved, 0)
