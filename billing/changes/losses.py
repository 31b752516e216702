"""What a change takes away, limit by limit: what is lost, what shrinks, what is over and stays to be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from billing import money
from billing.catalog import Catalog, Feature, Plan

# How much of a plan one gets, for comparing: none, so many, without end.
NOTHING = -1.0
ENDLESS = float("inf")


class Fate(StrEnum):
    """What happens to a feature."""

    LOST = "lost"  # it is off
    LESS = "less"  # there is less of it, and what is in use fits
    OVER = "over"  # more is in use than there will be: it stays, to be read, until there is room
    MORE = "more"  # there is more of it, or it is new


@dataclass(frozen=True)
class Difference:
    """One row of the list: "Projects: unlimited → 10. You have 12: …"."""

    feature: Feature
    fate: Fate
    before: str
    after: str
    # What it means for this account; empty where the two columns say it all.
    means: str = ""

    @property
    def is_worse(self) -> bool:
        return self.fate != Fate.MORE


def of(*, before: Plan, after: Plan, catalog: Catalog, used: Mapping[str, int]) -> list[Difference]:
    """Every feature that differs between two plans, what is lost first. `used` is in units by feature key."""
    found = [
        difference
        for feature in catalog.features.values()
        for difference in _of(feature, before, after, used=used.get(feature.key, 0))
    ]
    order = (Fate.OVER, Fate.LOST, Fate.LESS, Fate.MORE)
    return sorted(found, key=lambda difference: order.index(difference.fate))


def _of(feature: Feature, before: Plan, after: Plan, *, used: int) -> Iterator[Difference]:
    had, gets = _amount(feature, before), _amount(feature, after)
    if had == gets:
        return
    if gets > had:
        fate = Fate.MORE
    elif gets in (NOTHING, 0) and feature.kind != "limit":
        fate = Fate.LOST
    else:
        fate = Fate.OVER if feature.kind == "limit" and used > max(gets, 0) else Fate.LESS
        if gets <= 0 and fate == Fate.LESS:
            fate = Fate.LOST
    yield Difference(
        feature=feature,
        fate=fate,
        before=_words(feature, before),
        after=_words(feature, after),
        means=_means(feature, fate, used=used, gets=gets),
    )


def _amount(feature: Feature, plan: Plan) -> float:
    match feature.kind:
        case "switch":
            return 1.0 if feature.key in plan.switches else NOTHING
        case "limit":
            return _number(plan.limits.get(feature.key, 0))
        case _:
            allowance = plan.allowances.get(feature.key)
            if allowance is None:
                # Paid by the unit: there is no end to it, but nothing is included either.
                return 0.5 if feature.key in plan.metered else NOTHING
            per_month = {"day": 30.0, "week": 30 / 7, "month": 1.0}[allowance.per]
            return _number(allowance.quantity) * per_month


def _number(quantity: int | None) -> float:
    return ENDLESS if quantity is None else float(quantity)


def _words(feature: Feature, plan: Plan) -> str:
    match feature.kind:
        case "switch":
            return "yes" if feature.key in plan.switches else "no"
        case "limit":
            quantity = plan.limits.get(feature.key, 0)
            return "none" if quantity == 0 else money.quantity(quantity, feature)
        case _:
            allowance = plan.allowances.get(feature.key)
            if allowance is not None:
                end = "" if allowance.quantity is None else f" a {allowance.per}"
                return f"{money.quantity(allowance.quantity, feature)}{end}"
            price = next((price for price in plan.prices if price.meter == feature.key), None)
            if feature.key in plan.metered and price is not None:
                return money.price_phrase(price)
            return "by the unit" if feature.key in plan.metered else "none"


def _means(feature: Feature, fate: Fate, *, used: int, gets: float) -> str:
    if fate == Fate.OVER:
        over = used - int(max(gets, 0))
        return (
            f"You have {money.quantity(used, feature)}. Nothing is deleted: you can read all of it, and add again "
            f"once you are {money.quantity(over, feature)} down."
        )
    if fate == Fate.LESS and feature.kind in ("allowance", "metered") and used > gets >= 0:
        return f"You used {money.quantity(used, feature)} in this period."
    return ""
