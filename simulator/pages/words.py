"""How amounts, dates, prices and cards are said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

# ISO 4217 currencies without a minor unit, as Stripe counts them (docs.stripe.com/currencies#zero-decimal).
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
SIGNS = {"usd": "$", "eur": "€", "gbp": "£"}


def money(amount: int | None, currency: str | None) -> str:
    """`$29.00` from 2900 and `usd`; minor units in, a sign where one is known."""
    code = (currency or "usd").lower()
    value = amount or 0
    figure = f"{abs(value):,}" if code in ZERO_DECIMAL else f"{abs(value) / 100:,.2f}"
    sign = SIGNS.get(code)
    said = f"{sign}{figure}" if sign else f"{figure} {code.upper()}"
    return f"−{said}" if value < 0 else said


def day(moment: int | None) -> str:
    """`20 Nov 2026` from Unix seconds, UTC."""
    if moment is None:
        return "–"
    when = datetime.fromtimestamp(moment, UTC)
    return f"{when.day} {when:%b %Y}"


def minute(moment: float | None) -> str:
    """`20 Nov 2026 14:05 UTC` from Unix seconds."""
    return "–" if moment is None else f"{day(int(moment))} {datetime.fromtimestamp(moment, UTC):%H:%M} UTC"


def rhythm(price: dict[str, Any] | None) -> str:
    """`each month`, `every 3 months`, or nothing for a single payment."""
    recurring = (price or {}).get("recurring")
    if not recurring:
        return ""
    count, unit = recurring["interval_count"], recurring["interval"]
    return f"each {unit}" if count == 1 else f"every {count} {unit}s"


def price(found: dict[str, Any]) -> str:
    """`$29.00 each month`; metered prices say by the unit."""
    amount = found.get("unit_amount")
    if amount is None and found.get("unit_amount_decimal"):
        cents = f"{float(found['unit_amount_decimal']) / 100:.6f}".rstrip("0").rstrip(".")
        said = f"{SIGNS.get(found['currency'], '')}{cents}"
    else:
        said = money(amount, found["currency"])
    if (found.get("recurring") or {}).get("usage_type") == "metered":
        return f"{said} for each unit used, charged {rhythm(found)}"
    return f"{said} {rhythm(found)}".strip()


def card(method: dict[str, Any] | None) -> str:
    """`Visa •••• 4242, 12/2030`."""
    found = (method or {}).get("card")
    if not found:
        return "No card"
    return (
        f"{str(found['brand']).capitalize()} •••• {found['last4']}, {found['exp_month']}/{found['exp_year']}"
    )
