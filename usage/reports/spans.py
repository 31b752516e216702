"""The days a report is about: this window, the one before it, or the last thirty days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing.entitlements import Entitlements
from usage import periods
from usage.periods import Period

NAMES = {"window": "This period", "last": "The period before", "30": "Last 30 days"}
# A window of a day or a week is too short for a chart of days.
SHORTEST = timedelta(days=20)


@dataclass(frozen=True)
class Span:
    """Whole UTC days from `first` to `last`, both included, and how many of them have passed at the time of asking."""

    key: str
    first: date
    last: date
    passed: int

    @property
    def name(self) -> str:
        return NAMES[self.key]

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def before(self) -> tuple[date, date]:
        """As many days just before it as have passed of it: what it is compared with."""
        return self.first - timedelta(days=self.passed), self.first - timedelta(days=1)


def trial_start(rights: Entitlements) -> datetime | None:
    """When the trial that runs began. Windows are counted back from its end, and the first one is older than it."""
    trial = rights.subscription
    return trial.started_at if trial is not None and trial.status == "trialing" else None


def of(
    key: str, *, window: Period, anchor: datetime, now: datetime, trial_start: datetime | None = None
) -> Span:
    """The span called `key` (one of NAMES; anything else is "window") at `now`, the account's time.

    A trial's window is shown from `trial_start` on; what lies in it before that is the period before.
    """
    today = now.astimezone(UTC).date()
    if key == "30":
        return Span("30", today - timedelta(days=29), today, passed=30)
    if window.end - window.start < SHORTEST:
        window = periods.containing(now=now, per="month", anchor=anchor)
    before = periods.containing(now=window.start - timedelta(seconds=1), per="month", anchor=anchor)
    if trial_start is not None and window.start.date() < trial_start.date() and window.contains(trial_start):
        midnight = trial_start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        before, window = Period(window.start, midnight), Period(midnight, window.end)
    key = "last" if key == "last" else "window"
    shown = before if key == "last" else window
    first = shown.start.astimezone(UTC).date()
    last = (shown.end - timedelta(microseconds=1)).astimezone(UTC).date()
    return Span(key, first, last, passed=max(1, (min(today, last) - first).days + 1))
