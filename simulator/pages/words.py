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
    said = each(found)
    if (found.get("recurring") or {}).get("usage_type") == "metered":
        return f"{said} for each unit used, charged {rhythm(found)}"
    return f"{said} {rhythm(found)}".strip()


def line(name: str, found: dict[str, Any], quantity: int | None, total: int) -> tuple[str, str]:
    """`Pro` and `$29.00 each month`; of several, `Starter, 5 × $7.99` and `$39.95 each month`."""
    has_steps = found.get("billing_scheme") == "tiered"
    if quantity is None or (quantity == 1 and not has_steps):
        return name, price(found)
    one = "" if has_steps else f" × {each(found)}"
    return f"{name}, {quantity}{one}", f"{money(total, found['currency'])} {rhythm(found)}".strip()


def each(price: dict[str, Any]) -> str:
    """`$29.00`, what one unit costs, also where that is less than a cent."""
    amount = price.get("unit_amount")
    if amount is None and price.get("unit_amount_decimal"):
        cents = f"{float(price['unit_amount_decimal']) / 100:.6f}".rstrip("0").rstrip(".")
        return f"{SIGNS.get(price['currency'], '')}{cents}"
    return money(amount, price["currency"])


def card(method: dict[str, Any] | None) -> str:
    """`Visa •••• 4242, 12/2030`."""
    found = (method or {}).get("card")
    if not found:
        return "No card"
    return (
        f"{str(found['brand']).capitalize()} •••• {found['last4']}, {found['exp_month']}/{found['exp_year']}"
    )
