"""What a price asks: an amount or tiers, in its own currency and in those it is also sold in
(docs.stripe.com/products-prices/pricing-models#multicurrency).
"""

from decimal import Decimal

from simulator.billing_engine import money
from simulator.errors import invalid, missing_param
from simulator.params import Params
from simulator.shapes import Obj


def terms(params: Params, *, is_tiered: bool) -> Obj:
    """Amount, tiers and tax behavior of one currency, from parameters; raises 400 for what makes no sense."""
    found: Obj = {
        "tax_behavior": params.text("tax_behavior") or "unspecified",
        "tiers": _tiers(params) if is_tiered else None,
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
    if not is_tiered:
        found["unit_amount"], found["unit_amount_decimal"] = _amounts(params)
    return found


def options(params: Params, *, own: str, is_tiered: bool) -> dict[str, Obj]:
    """The `currency_options` of a request: other currencies and what the price asks in them."""
    given = params.inner("currency_options")
    found = {name.lower(): terms(given.inner(name), is_tiered=is_tiered) for name in given}
    if own in found:
        raise invalid(
            f"`{own}` is the price's own currency: it cannot be among `currency_options`.",
            param="currency_options",
        )
    return found


def shown(price: Obj) -> dict[str, Obj]:
    """`currency_options` as they are expanded: every currency, the price's own among them."""
    kept = price["_"]
    own = {
        "tax_behavior": price["tax_behavior"],
        "tiers": kept["tiers"],
        "unit_amount": price["unit_amount"],
        "unit_amount_decimal": price["unit_amount_decimal"],
    }
    everything = {price["currency"]: own, **kept.get("currencies", {})}
    return {
        currency: {"custom_unit_amount": None} | {key: one[key] for key in one if key != "tiers" or one[key]}
        for currency, one in everything.items()
    }


def whole(price: Obj, currency: str | None = None) -> Obj:
    """The price with its tiers, for arithmetic, as it is sold in `currency` (its own by default).

    Raises 400 when it is not sold in it.
    """
    if currency is None or currency == price["currency"]:
        return {**price, "tiers": price["_"]["tiers"]}
    other = price["_"].get("currencies", {}).get(currency)
    if other is None:
        raise invalid(
            f"The price specified only supports `{'`, `'.join(shown(price))}`. "
            f"This doesn't match the expected currency: `{currency}`.",
            param="currency",
        )
    return {**price, **other, "currency": currency}


def _amounts(params: Params) -> tuple[int | None, str]:
    amount, exact = params.integer("unit_amount"), params.decimal("unit_amount_decimal")
    if amount is None and exact is None:
        raise missing_param(params.name("unit_amount"))
    value = Decimal(amount) if amount is not None else exact or Decimal(0)
    if value < 0:
        raise invalid("Invalid integer: must be non-negative", param=params.name("unit_amount"))
    return (int(value) if value == value.to_integral_value() else None), money.plain(value)


def _tiers(params: Params) -> list[Obj]:
    found = []
    for tier in params.each("tiers"):
        each, flat = tier.decimal("unit_amount_decimal"), tier.decimal("flat_amount_decimal")
        amount = tier.integer("unit_amount")
        base = tier.integer("flat_amount")
        found.append(
            {
                "flat_amount": base,
                "flat_amount_decimal": str(base)
                if base is not None
                else (money.plain(flat) if flat else None),
                "unit_amount": amount,
                "unit_amount_decimal": str(amount)
                if amount is not None
                else (money.plain(each) if each else None),
                "up_to": None if tier.text("up_to") == "inf" else tier.integer("up_to"),
            }
        )
    if not found or found[-1]["up_to"] is not None:
        raise invalid("The last tier must have `up_to` set to `inf`.", param=params.name("tiers"))
    return found
