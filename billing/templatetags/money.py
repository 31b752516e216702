"""Money and quantities in words: `{% money 2900 "usd" %}`, `{{ price|price_words }}`, `{{ n|units:it }}`."""

from __future__ import annotations

from typing import Any

from django import template

from billing import money as words
from billing.catalog import Feature, Price
from billing.deals import discounts

register = template.Library()


@register.simple_tag
def money(amount: int | None, currency: str) -> str:
    """An amount in minor units: "$29.00". Unknown amounts are a dash."""
    return "–" if amount is None else words.text(amount, currency)


@register.simple_tag
def short_money(amount: int, currency: str) -> str:
    """The same without cents that are zero: "$29"."""
    return words.text(amount, currency, short=True)


@register.filter
def price_words(price: Price) -> str:
    """What a price asks for: "$19.00 a seat and month"."""
    return words.price_phrase(price)


@register.filter
def units(quantity: int | None, feature: Feature) -> str:
    """A number of a feature's units: "250 generations", "10 GB", "unlimited"."""
    return words.quantity(quantity, feature)


@register.filter
def discount_words(entry: dict[str, Any]) -> str:
    """One entry of `Subscription.discounts`: "20% off with FRIEND20 until 21 February 2027"."""
    return discounts.words(entry)
