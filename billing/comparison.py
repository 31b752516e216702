"""The comparison table under the price cards: one row a feature, one cell a plan, in words."""

from __future__ import annotations

from dataclasses import dataclass

from billing import money
from billing.catalog import Allowance, Catalog, Feature, Plan


@dataclass(frozen=True)
class Cell:
    """What a plan has of a feature. `mark` is True or False for what it simply has or has not, else None."""

    text: str
    mark: bool | None = None


@dataclass(frozen=True)
class Row:
    name: str
    hint: str
    cells: tuple[Cell, ...]


def rows(catalog: Catalog) -> list[Row]:
    """Every feature that some plan for sale has, then the rows of words, for the plans for sale in order."""
    plans = catalog.for_sale()
    found = [
        Row(feature.name, feature.hint, tuple(_cell(plan, feature) for plan in plans))
        for feature in catalog.features.values()
    ]
    labels = dict.fromkeys(label for plan in plans for label in plan.facts)
    found += [Row(label, "", tuple(Cell(plan.facts.get(label, "–")) for plan in plans)) for label in labels]
    if any(plan.seats for plan in plans):
        found.append(Row("Seats", "", tuple(Cell(_seats(plan)) for plan in plans)))
    return [row for row in found if any(cell.mark is not False for cell in row.cells)]


def _cell(plan: Plan, feature: Feature) -> Cell:
    if feature.kind == "switch":
        has = feature.key in plan.switches
        return Cell("Yes" if has else "No", has)
    if feature.key in plan.limits:
        limit = plan.limits[feature.key]
        return Cell("No", False) if limit == 0 else Cell(_number(limit, feature))
    paid = _paid(plan, feature)
    allowance = plan.allowances.get(feature.key)
    if allowance is None or (allowance.quantity == 0 and paid):
        return Cell(paid) if paid else Cell("No", False)
    if allowance.quantity is None:
        return Cell("Unlimited")
    if paid:
        return Cell(f"{allowance.quantity:,} a {allowance.per} included{_kept(allowance)}, then {paid}")
    if allowance.quantity == 0:
        return Cell("No", False)
    return Cell(f"{allowance.quantity:,} a {allowance.per}{_kept(allowance)}")


def _paid(plan: Plan, feature: Feature) -> str:
    """What a unit costs, where units are paid: "$0.50 each"."""
    if feature.key not in plan.metered:
        return ""
    price = plan.price_of_units(feature.key)
    if price is None:
        return "paid by the unit"
    return (
        f"{'from ' if money.has_steps(price) else ''}{money.text(money.lowest(price), price.currency)} each"
    )


def _kept(allowance: Allowance) -> str:
    """What becomes of units that are not used: " (up to 500 left over stay for 2 months)"."""
    kept = allowance.rollover
    if kept is None:
        return ""
    much = "what is left over stays" if kept.cap is None else f"up to {kept.cap:,} left over stay"
    time = f"{kept.windows} {allowance.per}s" if kept.windows > 1 else f"one more {allowance.per}"
    return f" ({much} for {time})"


def _number(limit: int | None, feature: Feature) -> str:
    if limit is None:
        return "Unlimited"
    return money.size(limit) if feature.is_bytes else f"{limit:,}"


def _seats(plan: Plan) -> str:
    if plan.seats is None:
        return "–"
    if plan.seats.max is None:
        return f"{plan.seats.min} and more"
    return f"{plan.seats.min} to {plan.seats.max}"
