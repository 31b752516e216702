"""Units by day, by member and by key, from the daily roll-up alone: a million acts cost what a hundred do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet, Sum

from accounts.models import Account, ApiKey, User
from usage.models import UsageDay
from usage.reports.spans import Span

# More than these are summed up as one line.
SHOWN = 10


@dataclass(frozen=True)
class Slice:
    """Units of one member or key; `name` "" stands for all that have none.

    `tenths` of a percent are rounded so that those of a whole table add up to 1,000, none being more than one off.
    """

    name: str
    units: int
    tenths: int

    @property
    def percent(self) -> str:
        """ "33.4", "50"."""
        return f"{self.tenths / 10:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Report:
    """One feature in one span. `before` are the units of as many days before it."""

    feature: str
    span: Span
    by_day: dict[date, int]
    total: int
    before: int
    by_member: tuple[Slice, ...]
    by_key: tuple[Slice, ...]

    @property
    def trend(self) -> int | None:
        """Percent more (or less, below zero) than in the days before; None when nothing was used then."""
        return None if not self.before else round((self.total - self.before) * 100 / self.before)


def of(account: Account, feature: str, *, span: Span, only: User | None = None) -> Report:
    """The report of `feature` in `span`; with `only`, what that member used. Reads the roll-up only."""
    rows = UsageDay.objects.filter(account=account, feature=feature)
    if only is not None:
        rows = rows.filter(user_id=only.pk)
    start, end = span.before
    counted = dict(
        rows.filter(day__gte=start, day__lte=span.last)
        .order_by()
        .values_list("day")
        .annotate(total=Sum("units"))
    )
    inside = rows.filter(day__gte=span.first, day__lte=span.last)
    by_day = {day: counted.get(day, 0) for day in span.days}
    total = sum(by_day.values())
    return Report(
        feature=feature,
        span=span,
        by_day=by_day,
        total=total,
        before=sum(units for day, units in counted.items() if start <= day <= end),
        by_member=_slices(inside, "user_id", _members, total=total),
        by_key=_slices(inside, "api_key_id", _keys, total=total),
    )


def _slices(rows: QuerySet[UsageDay], actor: str, names: object, *, total: int) -> tuple[Slice, ...]:
    """The greatest first; what is left over is one line, so that the lines add up."""
    found = list(
        rows.order_by().values_list(actor).annotate(sum=Sum("units")).order_by("-sum", actor)[: SHOWN + 1]
    )
    assert callable(names)
    known = names([pk for pk, _ in found if pk])
    lines = [(known.get(pk, "Somebody who left") if pk else "", units) for pk, units in found[:SHOWN]]
    rest = total - sum(units for _, units in lines)
    if rest > 0:
        lines.append(("All others", rest))
    tenths = _tenths([units for _, units in lines])
    return tuple(Slice(name, units, share) for (name, units), share in zip(lines, tenths, strict=True))


def _tenths(units: list[int]) -> list[int]:
    """Rounded down, and what is missing to the whole goes to those that lost most by it."""
    total = sum(units)
    if total <= 0:
        return [0 for _ in units]
    shares = [one * 1000 // total for one in units]
    cut_most = sorted(range(len(units)), key=lambda place: -(units[place] * 1000 % total))
    for place in cut_most[: 1000 - sum(shares)]:
        shares[place] += 1
    return shares


def _members(ids: Iterable[int]) -> dict[int, str]:
    return {user.pk: user.name or user.email for user in User.objects.filter(pk__in=ids)}


def _keys(ids: Iterable[int]) -> dict[int, str]:
    return {key.pk: f"{key.name or 'A key'} ({key.prefix}…)" for key in ApiKey.objects.filter(pk__in=ids)}
