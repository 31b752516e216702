"""What paying by the year saves over twelve months, in words."""

from __future__ import annotations

from billing import money
from billing.catalog import Catalog, Plan, Price


def has_both(catalog: Catalog) -> bool:
    """Whether some plan can be paid by the month and by the year, so that there is something to switch."""
    return any(plan.price_every("month") and plan.price_every("year") for plan in catalog.for_sale())


def best_saving(catalog: Catalog) -> str:
    """What a year saves over twelve months: "17%", "up to 26%", or nothing."""
    both = [plan for plan in catalog.for_sale() if plan.price_every("month") and plan.price_every("year")]
    percents = {_saving(plan)[1] for plan in both}
    best = max(percents, default=0)
    return "" if not best else f"{best}%" if len(percents) == 1 else f"up to {best}%"


def phrase(plan: Plan, price: Price) -> str:
    """Under the price of a year; empty where nothing is saved."""
    saved, percent = _saving(plan)
    if not saved:
        return ""
    each = " a seat" if price.per_seat else ""
    return f"Saves {money.text(saved, price.currency, short=True)} a year{each}{f' ({percent}%)' if percent else ''}"


def _saving(plan: Plan) -> tuple[int, int]:
    """What a year saves over twelve months, in minor units and in whole per cent, never more than it is; zeros when
    nothing.
    """
    month, year = plan.price_every("month"), plan.price_every("year")
    if month is None or year is None or month.meter or year.meter or month.tiers or year.tiers:
        return 0, 0
    saved = month.amount * 12 - year.amount
    return (saved, 100 * saved // (month.amount * 12)) if saved > 0 else (0, 0)
