"""Days as bars: where each rectangle of the drawing stands; the words stay HTML beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from usage.reports.daily import Report

WIDTH, HEIGHT, GAP = 600, 100, 2


@dataclass(frozen=True)
class Bar:
    """One day's rectangle in a drawing of WIDTH × HEIGHT."""

    day: date
    units: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    bars: tuple[Bar, ...]
    most: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def first(self) -> date:
        return self.bars[0].day

    @property
    def last(self) -> date:
        return self.bars[-1].day


def of(report: Report) -> Chart:
    """The chart of a report. A day on which little was used still shows."""
    most = max(report.by_day.values())
    step = WIDTH / len(report.by_day)
    bars = []
    for number, (day, units) in enumerate(report.by_day.items()):
        height = max(1.0, units * HEIGHT / most) if units else 0.0
        bars.append(
            Bar(
                day=day,
                units=units,
                x=round(number * step + GAP / 2, 2),
                y=round(HEIGHT - height, 2),
                width=round(step - GAP, 2),
                height=round(height, 2),
            )
        )
    return Chart(bars=tuple(bars), most=most)
