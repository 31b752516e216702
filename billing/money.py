"""Money in words: minor units and an ISO code become "$29.00", a price "$19.00 a seat and month"."""

from __future__ import annotations

from decimal import Decimal

from babel.numbers import format_currency

from billing.catalog import Price

LOCALE = "en_US"
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
    code = currency.upper()
    if short and value == value.to_integral_value():
        whole: str = format_currency(value, code, format="¤#,##0", locale=locale, currency_digits=False)
        return whole
    written: str = format_currency(value, code, locale=locale)
    return written


def price_phrase(price: Price) -> str:
    """What a price asks for: "$29.00 a month", "$19.00 a seat and month", "$0.50 a token"."""
    amount = text(price.amount, price.currency)
    if price.meter:
        return f"{amount} a {price.unit_label or 'unit'}"
    return f"{amount} {'a seat and ' if price.per_seat else 'a '}{period_phrase(price)}"


def period_phrase(price: Price) -> str:
    """How often: "month", "year", "3 months"."""
    return price.interval if price.interval_count == 1 else f"{price.interval_count} {price.interval}s"
