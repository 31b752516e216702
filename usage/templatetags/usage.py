"""What is left, wherever a page wants to say it: in the header, and as bars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.template.context import Context

from billing import catalog, credits, rights
from billing.catalog import Feature
from billing.entitlements import Entitlements
from usage import metering
from usage.metering import Balance
from usage.reports import projection

register = template.Library()

WARN_AT = 80


@dataclass(frozen=True)
class Bar:
    """A balance in words. `comes_back_at` is in the account's zone; None for what has no limit."""

    feature: Feature
    balance: Balance
    comes_back_at: datetime
    is_daily: bool
    # Units bought ahead or given, drawn when the balance is used up.
    credits: int = 0
    # Units at the window's end at the pace so far, and when that is all of it; None: too early to tell, or never.
    pace: int | None = None
    used_up_at: datetime | None = None

    @property
    def tone(self) -> str:
        percent = self.balance.percent or 0
        if self.credits:
            return ""
        return "bad" if percent >= 100 else "warn" if percent >= WARN_AT else ""

    @property
    def left(self) -> int | None:
        """All that can be used before somebody is refused; None: without an end."""
        return None if self.balance.remaining is None else self.balance.remaining + self.credits

    @property
    def held_note(self) -> str:
        """What is neither used nor left; "" where nothing is held."""
        held = self.balance.reserved
        return f"{held:,} held by work that is going on" if held else ""

    @property
    def held_percent(self) -> int:
        """How much of the tape is held, beside what is used: a sliver at least, as far as there is room."""
        limit, used = self.balance.limit, self.balance.percent or 0
        return min(-(-self.balance.reserved * 100 // limit), 100 - used) if limit else 0

    @property
    def mark(self) -> int | None:
        """Where the tape's forecast stands, 0 to 100; None where it would say nothing beyond what is used."""
        used, limit = self.balance.used, self.balance.limit
        if not limit or self.credits or not self.pace or not used < min(self.pace, limit):
            return None
        return min(100, self.pace * 100 // limit)

    @property
    def included(self) -> int:
        """What comes with the plan in each window, and not from credits or money."""
        return self.balance.included or 0

    @property
    def of(self) -> str:
        return "unlimited" if self.balance.limit is None else f"{self.balance.limit:,}"


@register.inclusion_tag("usage/_bars.html", takes_context=True)
def usage_bars(context: Context) -> dict[str, Any]:
    """{% usage_bars %}: used, limit, percent and when it comes back, for all that the account's plan counts."""
    may = rights.of(context["request"])
    return {"bars": _bars(may), "is_blocked": may.is_blocked}


@register.simple_tag(takes_context=True)
def balance_in_header(context: Context) -> Bar | None:
    """{% balance_in_header as bar %}: the first countable thing of the price list that this account is granted."""
    request = context.get("request")
    if request is None or getattr(request, "account", None) is None:
        return None
    return next(iter(_bars(rights.of(request))), None)


def _bars(may: Entitlements) -> list[Bar]:
    features = catalog.current().features
    zone = ZoneInfo(may.account.timezone)
    ahead = {balance.feature: balance.units for balance in credits.balances(may.account, now=may.now)}
    return [
        Bar(
            feature=features[balance.feature],
            balance=balance,
            comes_back_at=balance.period_end.astimezone(zone),
            is_daily=(balance.period_end - balance.period_start).days <= 1,
            credits=ahead.get(balance.feature, 0),
            pace=projection.pace(balance, may),
            used_up_at=end.astimezone(zone) if (end := projection.used_up_at(balance, may)) else None,
        )
        for balance in metering.balances(may.account, now=may.now, rights=may)
    ]
