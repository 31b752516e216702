"""A row of the ledger in words."""

from __future__ import annotations

from django import template

from usage.models import UsageRecord

register = template.Library()


@register.filter
def sources(act: UsageRecord) -> str:
    """{{ act|sources }}: where an act's units came from, "3 allowance, 2 credits, 1 paid"."""
    parts = (
        (act.units - act.credited - act.billed, "allowance"),
        (act.credited, "credits"),
        (act.billed, "paid"),
    )
    return ", ".join(f"{units:,} {name}" for units, name in parts if units)
