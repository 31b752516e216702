"""Where billing periods end: counted from the subscription's fixed anchor, never from the period before."""

from __future__ import annotations

import calendar
from datetime import datetime


def months_after(anchor: datetime, period_end: datetime, months: int) -> datetime:
    """The period boundary `months` after `period_end`, counted from the anchor: 31 Jan, 28 Feb, 31 Mar."""
    whole = (period_end.year - anchor.year) * 12 + period_end.month - anchor.month + months
    year, month = divmod(anchor.month - 1 + whole, 12)
    year, month = anchor.year + year, month + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
