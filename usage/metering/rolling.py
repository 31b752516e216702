"""What was left of earlier windows and may still be used in this one: rolled over, as far and as long as the plan says.

Units that lapse first are used first, so a window draws on what was rolled into it before its own allowance. Windows
are followed by the calendar: when a purchase moves the anchor, the count begins anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from billing.catalog import Allowance
from billing.entitlements import Entitlements
from usage import periods
from usage.models import UsageCounter
from usage.periods import Period

# Units, and how many windows more they last; soonest to lapse first.
Lots = list[list[int]]


def into(rights: Entitlements, allowance: Allowance, period: Period) -> Lots:
    """What the windows before `period` leave to it. Reads only.

    A window nobody used has no counter: it leaves all of its allowance, if the plan was in force by then, and no more
    than the last window that is known had.
    """
    rollover, quantity = allowance.rollover, allowance.quantity
    if rollover is None or quantity is None:
        return []
    last = (
        UsageCounter.objects.filter(
            account=rights.account, feature=allowance.feature, period_end__lte=period.start
        )
        .order_by("-period_start")
        .first()
    )
    lots: Lots = []
    for before in _windows_before(rights, allowance, period, count=rollover.windows):
        if last is not None and last.period_end > before.start:
            if last.period_start != before.start:
                # Counted by another calendar.
                continue
            lots, own, used = list(last.rolled_lots or []), _own(last), last.from_allowance
        else:
            own, used = quantity if last is None else min(quantity, _own(last)), 0
        lots = _left([*lots, [own, rollover.windows + 1]], used)
        lots = _capped([[units, lasts - 1] for units, lasts in lots if lasts > 1], rollover.cap)
    return lots


def _windows_before(
    rights: Entitlements, allowance: Allowance, period: Period, *, count: int
) -> list[Period]:
    """The windows directly before, oldest first, that began under what is in force now."""
    found: list[Period] = []
    while len(found) < count:
        start = found[-1].start if found else period.start
        before = _window(rights, allowance, start - timedelta(microseconds=1))
        if before.end <= rights.anchor:
            break
        found.append(before)
    return found[::-1]


def _window(rights: Entitlements, allowance: Allowance, moment: datetime) -> Period:
    return periods.containing(now=moment, per=allowance.per, anchor=rights.anchor, tz=rights.account.timezone)


def _own(counter: UsageCounter) -> int:
    """The window's own allowance, without what had been rolled into it."""
    return 0 if counter.limit_units is None else max(counter.limit_units - counter.rolled_over, 0)


def _left(lots: Lots, used: int) -> Lots:
    left = []
    for units, lasts in lots:
        taken = min(units, used)
        used -= taken
        if units > taken:
            left.append([units - taken, lasts])
    return left


def _capped(lots: Lots, cap: int | None) -> Lots:
    """No more than `cap` units in all; what lapses first goes first."""
    over = 0 if cap is None else max(sum(units for units, _ in lots) - cap, 0)
    return _left(lots, over)
