"""Money in words: minor units and an ISO code become "$29.00", a price "$19.00 a seat and month"."""

from __future__ import annotations

import re
from decimal import Decimal

from babel.numbers import format_currency

from billing.catalog import Feature, Pack, Price

LOCALE = "en_US"
NO_BREAK_SPACE = "\u00a0"
# How Stripe counts each currency; all others have cents: https://docs.stripe.com/currencies#zero-decimal
# UGX and ISK have no cents in life, but Stripe counts them in hundredths.
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf")
)
THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def decimal_places(currency: str) -> int:
    """Digits behind the point in Stripe's amounts of this currency (ISO 4217, any case)."""
    code = currency.lower()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def decimal(amount: int, currency: str) -> Decimal:
    """An amount in minor units as a number of the currency's own unit: 499 usd is 4.99."""
    return Decimal(amount).scaleb(-decimal_places(currency))


def text(amount: int, currency: str, *, locale: str = LOCALE, short: bool = False) -> str:
    """An amount in minor units, for people. `short` leaves out cents that are zero: "$29" for 2900 usd."""
    value = decimal(amount, currency)
    is_whole = short and value == value.to_integral_value()
    written = format_currency(
        value,
        currency.upper(),
        format="¤#,##0" if is_whole else None,
        locale=locale,
        currency_digits=not is_whole,
    )
    # A currency without a sign is written by its code, which needs a space (CLDR's currency spacing).
    return re.sub(r"(?<=[A-Z])(?=\d)", NO_BREAK_SPACE, written)


def price_phrase(price: Price) -> str:
    """What a price asks for: "$29.00 a month", "$19.00 a seat and month", "from $0.30 a token" (of several steps)."""
    amount = f"{'from ' if has_steps(price) else ''}{text(lowest(price), price.currency)}"
    if price.meter:
        return f"{amount} a {price.unit_label or 'unit'}"
    return f"{amount} {'a seat and ' if price.per_seat else 'a '}{period_phrase(price)}"


def lowest(price: Price) -> int:
    """The amount of a price, or of its cheapest step."""
    return min([tier.amount for tier in price.tiers] or [price.amount])


def has_steps(price: Price) -> bool:
    """Whether a unit does not always cost the same."""
    return len({tier.amount for tier in price.tiers}) > 1


def steps(price: Price) -> list[str]:
    """The steps of a tiered price in words, in their order; none for one amount.

    Graduated: "1 to 100 for $0.50 each", "from 101 on for $0.40 each". Volume, where the step of the last one counts
    for all of them: "1 to 100 all for $0.50 each", "from 101 on all for $0.40 each".
    """
    found, start = [], 1
    every = "all " if price.tiers_mode == "volume" else ""
    for tier in price.tiers:
        reach = f"from {start:,} on" if tier.up_to is None else f"{start:,} to {tier.up_to:,}"
        if tier.up_to is None and start == 1:
            reach = "any number"
        flat = f" and {text(tier.flat, price.currency)} once" if tier.flat else ""
        found.append(f"{reach} {every}for {text(tier.amount, price.currency)} each{flat}")
        start = (tier.up_to or 0) + 1
    return found


def pack_phrase(pack: Pack, feature: Feature) -> str:
    """What a pack holds: "500 pages, for 365 days", "500 pages, without an end"."""
    ends = f"for {pack.expires_days:,} days" if pack.expires_days else "without an end"
    return f"{quantity(pack.units, feature)}, {ends}"


def rhythm(price: Price) -> str:
    """How often it is paid: "monthly", "yearly", "every 3 months", "by the token"."""
    if price.meter:
        return f"by the {price.unit_label or 'unit'}"
    if price.interval_count > 1:
        return f"every {period_phrase(price)}"
    return "yearly" if price.interval == "year" else "monthly"


def period_phrase(price: Price) -> str:
    """How often: "month", "year", "3 months"."""
    return price.interval if price.interval_count == 1 else f"{price.interval_count} {price.interval}s"


def quantity(number: int | None, feature: Feature) -> str:
    """So many of a feature: "1 project", "1,000 runs", "10 GB", "unlimited" (None)."""
    if number is None:
        return "unlimited"
    if feature.is_bytes:
        return size(number)
    return f"{number:,} {feature.unit_one if number == 1 else feature.unit_many}"


def size(number: int) -> str:
    """Bytes for people, in steps of 1,024: "10 GB", "1.5 MB", "512 bytes"."""
    amount, unit = float(number), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.1f}".removesuffix(".0") + f" {unit}"
