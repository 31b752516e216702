"""What a quantity of a price costs, in minor units: per unit, tiered or packaged, rounded once, half
away from zero.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any

from simulator.shapes import Obj

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}
# docs.stripe.com/currencies#zero-decimal
_ZERO_DECIMAL = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "ugx",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ],
)


def cost(price: Obj, quantity: int | Decimal) -> int:
    """Minor units for `quantity` of `price`."""
    amount = Decimal(quantity)
    packs = price.get("transform_quantity")
    if packs:
        rounding = ROUND_CEILING if packs["round"] == "up" else ROUND_FLOOR
        amount = (amount / packs["divide_by"]).to_integral_value(rounding)
    if price.get("billing_scheme") == "tiered":
        return _tiered(price, amount)
    return whole(unit(price) * amount)


def unit(price: Obj) -> Decimal:
    """Minor units for one, as exact as the price says."""
    return Decimal(str(price.get("unit_amount_decimal") or price.get("unit_amount") or 0))


def whole(amount: Decimal) -> int:
    """Rounds to a whole minor unit, halves away from zero."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def share(amount: int, part: int, total: int) -> int:
    """`amount × part ÷ total`, rounded to a whole minor unit."""
    return whole(Decimal(amount) * part / total) if total else 0


def spread(amount: int, weights: list[int]) -> list[int]:
    """Splits `amount` over `weights` so that the parts add up to it exactly; the largest takes the rest."""
    total = sum(weights)
    parts = [share(amount, weight, total) if total else 0 for weight in weights]
    if parts:
        parts[max(range(len(parts)), key=lambda at: weights[at])] += (amount if total else 0) - sum(parts)
    return parts


def shown(amount: int | Decimal, currency: str) -> str:
    """`$25.00`, as Stripe writes amounts in descriptions."""
    value = Decimal(amount) if currency in _ZERO_DECIMAL else Decimal(amount) / 100
    text = f"{value:,.0f}" if currency in _ZERO_DECIMAL else f"{value:,.2f}"
    symbol = _SYMBOLS.get(currency)
    return f"{symbol}{text}" if symbol else f"{text} {currency.upper()}"


def plain(value: Decimal) -> str:
    """A decimal as Stripe writes it: `50`, `0.5`, never `5E+1`."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _tiered(price: Obj, amount: Decimal) -> int:
    tiers: list[dict[str, Any]] = price.get("tiers") or []
    if price.get("tiers_mode") == "volume":
        for tier in tiers:
            if tier["up_to"] is None or amount <= tier["up_to"]:
                return whole(_tier_cost(tier, amount)) if amount or tier is tiers[0] else 0
        return 0
    total, floor = Decimal(0), Decimal(0)
    for tier in tiers:
        top = amount if tier["up_to"] is None else min(amount, Decimal(tier["up_to"]))
        # Stripe charges the first tier's flat fee even for a quantity of nothing.
        if top > floor or tier is tiers[0]:
            total += _tier_cost(tier, max(top - floor, Decimal(0)))
        floor = top
        if tier["up_to"] is None or amount <= tier["up_to"]:
            break
    return whole(total)


def _tier_cost(tier: dict[str, Any], quantity: Decimal) -> Decimal:
    each = Decimal(str(tier.get("unit_amount_decimal") or tier.get("unit_amount") or 0))
    flat = Decimal(str(tier.get("flat_amount_decimal") or tier.get("flat_amount") or 0))
    return each * quantity + flat
