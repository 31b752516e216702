"""On what terms a window counts: how many units it gives, how many may be paid for, and who must be asked first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from billing import credits
from billing.entitlements import Entitlements
from usage.metering import forgiving, holding, rolling, spending
from usage.metering.rolling import Lots
from usage.metering.windows import Window
from usage.models import MemberBudget, UsageCounter


@dataclass(frozen=True, slots=True)
class Terms:
    """What UsageCounter keeps under the same names."""

    limit_units: int | None
    rolled_over: int
    rolled_lots: Lots | None
    is_metered: bool
    paid_limit: int | None
    unit_amount: int | None
    asks_first: bool
    counts_members: bool
    anchor: datetime | None
    valid_until: datetime
    stamp: str


def of(rights: Entitlements, window: Window, *, counter: UsageCounter | None) -> Terms:
    """The terms of `window` as things are now; `counter` is its row if it has one. Reads only."""
    lots = _lots(rights, window, counter)
    rolled_over = sum(units for units, _ in lots)
    price = spending.prices(rights).get(window.feature) if window.is_metered else None
    paid_limit = spending.paid_limit(rights, window.feature, counter=counter) if price else 0
    return Terms(
        limit_units=None if window.included is None else window.included + rolled_over,
        rolled_over=rolled_over,
        rolled_lots=lots or None,
        is_metered=window.is_metered,
        paid_limit=paid_limit,
        unit_amount=None if price is None or price.tiers else price.amount,
        asks_first=(
            credits.left(rights.account, window.feature, now=rights.now) > 0
            or must_ask(rights, window.feature, paid_limit=paid_limit)
        ),
        counts_members=MemberBudget.objects.filter(account=rights.account, feature=window.feature).exists(),
        anchor=rights.anchor if _repeats(window) else None,
        valid_until=window.valid_until,
        stamp=window.stamp,
    )


def must_ask(rights: Entitlements, feature: str, *, paid_limit: int | None) -> bool:
    """Whether the counter alone cannot say what is beyond the allowance, also when there are no credits.

    Something may be forgiven; something is set aside, perhaps for too long; a unit has no one price; or the budget
    is not spent by this counter alone.
    """
    allowance = rights.allowance(feature)
    if forgiving.is_possible(rights.account, allowance) or holding.is_any_held(rights.account, feature):
        return True
    prices = spending.prices(rights)
    if feature not in prices:
        return False
    is_alone = len(prices) == 1 and (allowance is None or allowance.per == "month")
    return bool(prices[feature].tiers) or (paid_limit is not None and not is_alone)


def _lots(rights: Entitlements, window: Window, counter: UsageCounter | None) -> Lots:
    """Rolled over when the window opens, and then as it was: a plan without rollover keeps none of it."""
    if window.allowance is None or window.allowance.rollover is None:
        return []
    if counter is not None:
        return list(counter.rolled_lots or [])
    return rolling.into(rights, window.allowance, window.period)


def _repeats(window: Window) -> bool:
    """Whether the next window is known to count on the same terms, but for what rolls over."""
    allowance = window.allowance
    return allowance is None or (allowance.per == "month" and allowance.rollover is None)
