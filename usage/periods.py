"""When an allowance comes back: pure date arithmetic on a fixed anchor, so that there is nothing to reset."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time [start, end), both aware and in UTC."""

    start: datetime
    end: datetime

    def contains(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def containing(*, now: datetime, per: str, anchor: datetime, tz: str = "UTC") -> Period:
    """The usage period that `now` falls in. Every moment falls in exactly one.

    per     "day": midnight to midnight in the zone `tz`, so 23 or 25 hours when its clocks change;
            "week": Monday to Monday in `tz`;
            "month": from the anchor's day and time of day, in UTC, to the same of the next month. A month that has no
            such day ends on its last one, and the month after it is back on the anchor's day: 31 Jan, 28 Feb, 31 Mar.
            https://docs.stripe.com/billing/subscriptions/billing-cycle
    anchor  what months are counted from; never the start of the period before, which would drift to the 28th.

    A price paid by the year has twelve monthly periods. Raises ValueError for another `per` and for naive times.
    """
    if now.tzinfo is None or anchor.tzinfo is None:
        raise ValueError("Periods need aware datetimes: pass times with a time zone.")
    match per:
        case "day":
            today = now.astimezone(ZoneInfo(tz)).date()
            return Period(_midnight(today, tz), _midnight(today + timedelta(days=1), tz))
        case "week":
            today = now.astimezone(ZoneInfo(tz)).date()
            monday = today - timedelta(days=today.weekday())
            return Period(_midnight(monday, tz), _midnight(monday + timedelta(days=7), tz))
        case "month":
            return _month(now.astimezone(UTC), anchor.astimezone(UTC))
        case _:
            raise ValueError(f"An allowance comes back per day, week or month, not per {per!r}.")


def _midnight(day: date, tz: str) -> datetime:
    # Where the clocks skip midnight this is the moment they skip; where it comes twice, the first. Each day's end is
    # computed as the next day's start, so no moment is lost or counted twice.
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(tz)).astimezone(UTC)


def _month(now: datetime, anchor: datetime) -> Period:
    months = (now.year - anchor.year) * 12 + now.month - anchor.month
    if _months_after(anchor, months) > now:
        months -= 1
    return Period(_months_after(anchor, months), _months_after(anchor, months + 1))


def _months_after(anchor: datetime, months: int) -> datetime:
    years, month = divmod(anchor.month - 1 + months, 12)
    year, month = anchor.year + years, month + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
