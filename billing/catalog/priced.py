"""What costs money in a price list, read from its tables: prices with their tiers, and packs."""

from __future__ import annotations

import re
from itertools import pairwise

from babel.numbers import is_currency

from billing.catalog.sold import Interval, Pack, Price, Tier, TiersMode
from billing.catalog.table import Table, shown

INTERVALS: tuple[Interval, ...] = ("month", "year")
TIERS_MODES: tuple[TiersMode, ...] = ("graduated", "volume")
LOOKUP_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,119}")
# Stripe's largest charge has eight digits: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
LARGEST_AMOUNT = 99_999_999


def price(table: Table, *, plan_key: str, currency: str) -> Price:
    """One [[plans.….prices]]."""
    tiers = _tiers(table)
    mode = table.choice("tiers_mode", TIERS_MODES) if tiers or table.get("tiers_mode") is not None else None
    if tiers and table.get("amount") is not None:
        table.complain("amount", "the tiers say what each costs; take out one of the two")
    if mode is not None and not tiers:
        table.complain("tiers_mode", "there are no tiers; write tiers = [{ up_to = 100, amount = 50 }, …]")
    found = Price(
        lookup_key=_lookup_key(table),
        plan_key=plan_key,
        amount=tiers[0].amount if tiers else table.whole("amount", low=1, high=LARGEST_AMOUNT, unit="cents"),
        currency=_currency_of(table, currency),
        interval=table.choice("interval", INTERVALS) or "",  # type: ignore[arg-type]
        interval_count=table.whole("interval_count", fallback=1, low=1, high=36, unit="number"),
        per_seat=table.flag("per_seat"),
        meter=table.text("meter", "") or None,
        unit_label=table.text("unit_label", ""),
        tiers=tiers,
        tiers_mode=mode,
        currencies=_currencies(table),
    )
    table.finish()
    return found


def pack(table: Table, *, currency: str) -> Pack:
    """One [[packs]]."""
    found = Pack(
        lookup_key=_lookup_key(table),
        name=table.text("name"),
        feature=table.text("feature"),
        units=table.whole("units", low=1, high=1_000_000_000, unit="units"),
        amount=table.whole("amount", low=1, high=LARGEST_AMOUNT, unit="cents"),
        currency=_currency_of(table, currency),
        priority=table.whole("priority", fallback=100, low=0, high=1_000, unit="number"),
        expires_days=None
        if table.get("expires_days") is None
        else table.whole("expires_days", low=1, high=3_650, unit="days"),
    )
    table.finish()
    return found


def currency(table: Table, key: str, *, fallback: str | None) -> str:
    """An ISO code in small letters, as Stripe writes it."""
    code = table.text(key, fallback)
    if code and (not is_currency(code.upper()) or code != code.lower()):
        table.complain(
            key, f"must be a currency code of three small letters such as usd or eur, got {shown(code)}"
        )
        return fallback or "usd"
    return code or "usd"


def _currency_of(table: Table, fallback: str) -> str:
    return currency(table, "currency", fallback=fallback)


def _currencies(table: Table) -> dict[str, int]:
    """`currencies = { eur = 2700 }`: what the price asks in others, in their minor units."""
    if table.get("currencies") is None:
        return {}
    other = table.table("currencies")
    found = {}
    for code in list(other.values):
        if not is_currency(code.upper()) or code != code.lower():
            table.complain("currencies", f"knows codes of three small letters such as eur, got {shown(code)}")
        found[code] = other.whole(code, low=1, high=LARGEST_AMOUNT, unit="cents")
    other.finish()
    return found


def _lookup_key(table: Table) -> str:
    key = table.text("lookup_key")
    if key and not LOOKUP_KEY.fullmatch(key):
        table.complain(
            "lookup_key", f"must be small letters, digits, _ . and -, 120 at most, got {shown(key)}"
        )
    return key


def _tiers(table: Table) -> tuple[Tier, ...]:
    if table.get("tiers") is None:
        return ()
    tiers = tuple(_tier(entry) for entry in table.tables("tiers"))
    if not tiers:
        table.complain("tiers", "is empty; write at least { amount = 40 }")
    for number, (one, other) in enumerate(pairwise(tiers)):
        if one.up_to is None:
            table.complain(f"tiers[{number}].up_to", "is missing; only the last tier goes on without end")
        elif other.up_to is not None and other.up_to <= one.up_to:
            table.complain(
                f"tiers[{number + 1}].up_to", f"must be above {one.up_to}, where the one before ends"
            )
    if tiers and tiers[-1].up_to is not None:
        table.complain(f"tiers[{len(tiers) - 1}].up_to", "the last tier goes on without end; take up_to out")
    return tiers


def _tier(table: Table) -> Tier:
    tier = Tier(
        up_to=None if table.get("up_to") is None else table.whole("up_to", low=1, unit="number"),
        amount=table.whole("amount", high=LARGEST_AMOUNT, unit="cents"),
        flat=table.whole("flat", fallback=0, high=LARGEST_AMOUNT, unit="cents"),
    )
    table.finish()
    return tier
