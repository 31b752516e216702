"""What is kept, as bars: projects, bookmarks, bytes, runs going on, each against what the plan gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.template.context import Context

from billing import catalog, clock, money, rights
from billing.catalog import Feature
from usage.models import Gauge
from usage.standing import Standing, state
from usage.standing.limits import is_more_sold

register = template.Library()

WARN_AT = 80


@dataclass(frozen=True)
class Bar:
    """A standing count in words."""

    feature: Feature
    standing: Standing

    @property
    def used(self) -> str:
        if self.standing.limit is None or self.feature.is_bytes:
            return money.quantity(self.standing.used, self.feature)
        return f"{self.standing.used:,}"

    @property
    def limit(self) -> str:
        return money.quantity(self.standing.limit, self.feature)

    @property
    def over(self) -> str:
        """How much more is kept than the plan gives: "1 GB of 1 GB" may be 76 bytes too many."""
        return money.quantity(self.standing.used - (self.standing.limit or 0), self.feature)

    @property
    def is_of_runs(self) -> bool:
        """Whether all of it ends by itself."""
        return self.standing.running == self.standing.used > 0

    @property
    def is_more_sold(self) -> bool:
        return is_more_sold(self.feature.key, self.standing.limit or 0)

    @property
    def percent(self) -> int | None:
        """0 to 100, rounded down so that 100 means full; None without a limit."""
        if self.standing.limit is None:
            return None
        return min(self.standing.used * 100 // max(self.standing.limit, 1), 100)

    @property
    def tone(self) -> str:
        if self.standing.remaining == 0 or self.standing.is_over:
            return "bad"
        return "warn" if (self.percent or 0) >= WARN_AT else ""


@register.simple_tag(takes_context=True)
def held_bars(context: Context) -> list[Bar]:
    """{% held_bars as bars %}: what the product has ever counted for this account, in the price list's order."""
    request = context["request"]
    may: Any = rights.of(request)
    counted = set(Gauge.objects.filter(account=may.account).values_list("feature", flat=True))
    return [
        Bar(feature, state(may.account, feature.key, clock.wall()))
        for feature in catalog.current().features.values()
        if feature.key in counted and feature.kind == "limit"
    ]
