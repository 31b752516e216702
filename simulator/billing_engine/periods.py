"""Billing periods by arithmetic on a fixed anchor: 31 January, 28 February, 31 March
(docs.stripe.com/billing/subscriptions/billing-cycle).
"""

from calendar import monthrange
from datetime import UTC, datetime

from simulator.shapes import Obj

DAY = 86_400
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
# For estimates only; what is exact is found from the anchor.
_SECONDS = {"day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}


def after(anchor: int, interval: str, count: int) -> int:
    """The moment `count` intervals after `anchor` (Unix seconds; `count` may be negative), month ends
    clamped.
    """
    if interval in _DAYS:
        return anchor + count * _DAYS[interval] * DAY
    start = datetime.fromtimestamp(anchor, UTC)
    month = start.year * 12 + start.month - 1 + count * _MONTHS[interval]
    year, month = divmod(month, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def end_of(anchor: int, recurring: Obj, start: int) -> int:
    """The first boundary counted from `anchor` that lies after `start`."""
    interval, step = recurring["interval"], recurring["interval_count"]
    guess = (start - anchor) // (_SECONDS[interval] * step)
    # Months average more than 30 days, so the guess is never too small by more than the loop can walk.
    while after(anchor, interval, guess * step) > start:
        guess -= 1
    while after(anchor, interval, guess * step) <= start:
        guess += 1
    return after(anchor, interval, guess * step)


def start_of(anchor: int, recurring: Obj, end: int) -> int:
    """The boundary one full interval before `end`, counted from `anchor`: the length a stub is a part of."""
    interval, step = recurring["interval"], recurring["interval_count"]
    count = (end - anchor) // (_SECONDS[interval] * step)
    while after(anchor, interval, count * step) >= end:
        count -= 1
    while after(anchor, interval, (count + 1) * step) < end:
        count += 1
    return after(anchor, interval, count * step)


def seconds(recurring: Obj) -> int:
    """Roughly how long an interval is; for comparing only."""
    return int(_SECONDS[recurring["interval"]]) * int(recurring["interval_count"])


def shown(moment: int) -> str:
    """`21 Nov 2026`, as in Stripe's line descriptions."""
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y")
