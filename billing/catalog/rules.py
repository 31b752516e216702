"""What must hold between the parts of a price list; each broken rule is one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from billing.catalog.model import Catalog, Feature, Plan, Price
from billing.catalog.table import meant

WORDS = {
    "switch": ("a switch", "switches"),
    "limit": ("a limit", "limits"),
    "allowance": ("an allowance", "allowances"),
    "metered": ("metered", "metered"),
}


def broken(catalog: Catalog) -> list[str]:
    """Sentences for everything that does not fit together, in the file's order."""
    problems = [*_default_plan(catalog), *_lookup_keys(catalog), *_features(catalog)]
    for plan in catalog.plans.values():
        path = f"plans.{plan.key}"
        problems += _granted(plan, catalog.features, path)
        problems += _prices(plan, catalog, path)
        problems += _seats(plan, path)
        problems += _terms(plan, path)
    problems += _ladders(catalog)
    return list(dict.fromkeys(problems))


def _default_plan(catalog: Catalog) -> Iterator[str]:
    plan = catalog.default_plan
    if plan.key not in catalog.plans:
        return  # said where it was read
    if plan.prices:
        yield f"default_plan: everybody starts on {plan.name!r}, so it must be free; take plans.{plan.key}.prices out"
    if plan.contact_sales:
        yield f"default_plan: everybody starts on {plan.name!r}, so plans.{plan.key}.contact_sales must be false"
    if plan.retired:
        yield f"default_plan: everybody starts on {plan.name!r}, so plans.{plan.key}.retired must be false"
    if plan.audience != "any":
        yield f'default_plan: everybody starts on {plan.name!r}, so plans.{plan.key}.audience must be "any"'


def _lookup_keys(catalog: Catalog) -> Iterator[str]:
    places: dict[str, list[str]] = {}
    for plan in catalog.plans.values():
        for number, price in enumerate(plan.prices):
            places.setdefault(price.lookup_key, []).append(f"plans.{plan.key}.prices[{number}]")
    for key, [first, *others] in places.items():
        for other in others if key else []:
            yield f'{other}.lookup_key: "{key}" is taken by {first}; every price needs its own'


def _features(catalog: Catalog) -> Iterator[str]:
    names = Counter(
        feature.meter_event_name for feature in catalog.features.values() if feature.meter_event_name
    )
    for feature in catalog.features.values():
        if feature.meter_event_name and names[feature.meter_event_name] > 1:
            yield f'features.{feature.key}.meter_event_name: "{feature.meter_event_name}" is used by two features'


def _granted(plan: Plan, features: dict[str, Feature], path: str) -> Iterator[str]:
    """Every granted feature exists and is of the kind it is granted as."""
    granted = [
        *((key, "switch", f"{path}.switches") for key in sorted(plan.switches)),
        *((key, "limit", f"{path}.limits.{key}") for key in plan.limits),
        *((key, "allowance", f"{path}.allowances.{key}") for key in plan.allowances),
        *((key, "metered", f"{path}.metered") for key in sorted(plan.metered)),
    ]
    for key, kind, where in granted:
        feature = features.get(key)
        if feature is None:
            yield f"{where}: there is no [features.{key}]{meant(key, features)}"
        elif (
            feature.kind and feature.kind != kind and not (kind == "allowance" and feature.kind == "metered")
        ):
            is_kind, place = WORDS[feature.kind]
            yield f'{where}: "{key}" is {is_kind} (features.{key}.kind), so it belongs in {path}.{place}'
    for key in sorted(plan.metered & set(plan.allowances)):
        yield f'{path}.metered: "{key}" is also an allowance of this plan; a feature is either paid by the unit or given'


def _prices(plan: Plan, catalog: Catalog, path: str) -> Iterator[str]:
    for number, price in enumerate(plan.prices):
        where = f"{path}.prices[{number}]"
        if price.currency != catalog.currency:
            yield f'{where}.currency: this price list is in "{catalog.currency}", got "{price.currency}"'
        if price.interval_count * (12 if price.interval == "year" else 1) > 36:
            yield f"{where}.interval_count: Stripe bills at most every three years"
        if price.meter is not None:
            yield from _metered_price(price, plan, catalog.features, where)
        if price.per_seat and plan.seats is None:
            yield f"{where}.per_seat: the plan sells no seats; write {path}.seats = {{ min = 1 }}"
    for key in sorted(plan.metered):
        if not any(price.meter == key for price in plan.prices) and not plan.contact_sales:
            yield f'{path}.metered: "{key}" has no price; write a [[{path}.prices]] with meter = "{key}"'
    for one, other in combinations(enumerate(plan.prices), 2):
        if one[1].interval and (one[1].meter, one[1].months) == (other[1].meter, other[1].months):
            yield f"{path}.prices[{other[0]}].interval: is billed as often as prices[{one[0]}]; a plan has one price each"
    base, metered = plan.base_prices, plan.metered_prices
    for price in metered if base else ():
        if not any(price.months == other.months for other in base):
            yield f'{path}.prices: "{price.lookup_key}" has no base price billed as often; Stripe bills them together'


def _metered_price(price: Price, plan: Plan, features: dict[str, Feature], where: str) -> Iterator[str]:
    feature = features.get(price.meter or "")
    if feature is None:
        yield f"{where}.meter: there is no [features.{price.meter}]{meant(price.meter, features)}"
    elif feature.kind and feature.kind != "metered":
        yield f'{where}.meter: "{feature.key}" is {WORDS[feature.kind][0]}; only a metered feature is paid by the unit'
    elif feature.key not in plan.metered:
        yield f'{where}.meter: write metered = ["{feature.key}"] in [plans.{plan.key}], else nobody may use it'
    if price.per_seat:
        yield f"{where}.per_seat: a metered price counts units, not seats"


def _seats(plan: Plan, path: str) -> Iterator[str]:
    seats = plan.seats
    if seats is None:
        return
    if seats.max is not None and seats.min > seats.max:
        yield f"{path}.seats: min ({seats.min}) must not be above max ({seats.max})"
    if plan.audience == "individual":
        yield f'{path}.seats: seats are for organizations; audience must be "organization" or "any"'
    if plan.base_prices and not any(price.per_seat for price in plan.base_prices):
        yield f"{path}.seats: no price is per seat; write per_seat = true in [[{path}.prices]], or drop seats"


def _terms(plan: Plan, path: str) -> Iterator[str]:
    if plan.contact_sales and plan.prices:
        yield f"{path}.contact_sales: a plan sold by talking has no prices here; take out one of the two"
    for key in ("trial_days", "grace_days", "money_back_days"):
        if getattr(plan, key) and plan.is_free:
            yield f"{path}.{key}: the plan costs nothing, so there is nothing to try, to owe or to give back"
    if plan.popular and plan.retired:
        yield f"{path}.popular: the plan is retired and not shown"


def _ladders(catalog: Catalog) -> Iterator[str]:
    """Steps of one ladder never sell the same number of seats."""
    steps = [
        (plan, plan.seats) for plan in catalog.for_sale() if plan.seats is not None and plan.seats.ladder
    ]
    for (plan, seats), (other, others) in combinations(steps, 2):
        if seats.ladder != others.ladder:
            continue
        lower, upper = max(seats.min, others.min), min(seats.max or 10**9, others.max or 10**9)
        if lower <= upper:
            yield (
                f"plans.{other.key}.seats: {lower} seats are also sold by plans.{plan.key}; "
                f'two steps of the ladder "{seats.ladder}" must not overlap'
            )
