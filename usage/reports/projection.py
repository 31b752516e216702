"""Where a window will end at the pace it has had so far, in units and in money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.entitlements import Entitlements
from usage.metering import Balance, spending
from usage.reports import spans

# Before so much of a window has passed, its pace says nothing.
TOO_EARLY = timedelta(hours=12)


@dataclass(frozen=True)
class Projection:
    """`units` at the window's end and what they will have cost, in minor units; `cost` None: not paid by the unit."""

    units: int
    cost: int | None


def of(balance: Balance, rights: Entitlements) -> Projection | None:
    """Used so far, divided by the time passed, times the window's length. None while it is too early to tell.

    Units beyond the allowance and the credits burned so far are taken as paid, unless a budget or limit ends them.
    """
    units = pace(balance, rights)
    if units is None:
        return None
    if balance.limit is not None:
        units = min(max(units, balance.used), max(balance.limit, balance.used))
    price = spending.prices(rights).get(balance.feature)
    if price is None:
        return Projection(units=units, cost=None)
    free = (balance.included or 0) + balance.rolled_over + balance.credited
    return Projection(units=units, cost=price.charge(max(units - free, balance.billed)))


def pace(balance: Balance, rights: Entitlements) -> int | None:
    """Units at the window's end at the pace so far, whatever limit is in the way. None: it is too early to tell."""
    began = _began(balance, rights)
    passed = rights.now - began
    if passed < TOO_EARLY or balance.period_end <= rights.now:
        return None
    return int(balance.used * ((balance.period_end - began) / passed))


def used_up_at(balance: Balance, rights: Entitlements) -> datetime | None:
    """When the limit is reached at that pace; None: not in this window, or it is too early to tell."""
    units = pace(balance, rights)
    if units is None or not balance.limit or units < balance.limit or balance.used >= balance.limit:
        return None
    began = _began(balance, rights)
    return began + (rights.now - began) * (balance.limit / balance.used)


def _began(balance: Balance, rights: Entitlements) -> datetime:
    return max(balance.period_start, spans.trial_start(rights) or balance.period_start)
