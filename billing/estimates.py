"""What so many units a month cost on each plan: for somebody who knows their use and not yet their plan. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from billing.catalog import Catalog, Feature, Plan


@dataclass(frozen=True)
class Estimate:
    """A month on a plan, with as few seats as it is sold with. `amount` in minor units of the price list's currency."""

    plan: Plan
    seats: int
    amount: int


def countable(catalog: Catalog) -> list[Feature]:
    """What is paid by the unit on some plan for sale: only there does the number used decide what is cheapest."""
    sold = {key for plan in catalog.for_sale() for key in plan.metered}
    return [feature for feature in catalog.features.values() if feature.key in sold]


def of(catalog: Catalog, feature: Feature, units: int) -> list[Estimate]:
    """Every plan for sale by the month that has `units` of the feature, the cheapest first."""
    found = [
        Estimate(plan=plan, seats=_seats(plan), amount=amount)
        for plan in catalog.for_sale()
        if not plan.contact_sales and (amount := _month(plan, feature, units)) is not None
    ]
    return sorted(found, key=lambda estimate: estimate.amount)


def _month(plan: Plan, feature: Feature, units: int) -> int | None:
    """None where the plan does not have so many, or is not sold by the month."""
    base = plan.price_every("month")
    if base is None and not plan.is_free:
        return None
    fixed = base.charge(_seats(plan)) if base is not None and base.meter is None else 0
    allowance = plan.allowances.get(feature.key)
    if allowance is not None and allowance.quantity is None:
        return fixed
    included = allowance.quantity or 0 if allowance is not None and allowance.per == "month" else 0
    unit = next(
        (price for price in plan.metered_prices if price.meter == feature.key and price.months == 1), None
    )
    if unit is not None:
        return fixed + unit.charge(max(units - included, 0))
    return fixed if units <= included else None


def _seats(plan: Plan) -> int:
    base = plan.price_every("month")
    return plan.seats.min if base is not None and base.per_seat and plan.seats is not None else 1
