"""What must hold between the parts of a price list; each broken rule is one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from billing.catalog.model import Allowance, Catalog, Feature, Plan
from billing.catalog.sold import Price
from billing.catalog.table import listed, meant

WORDS = {
    "switch": ("a switch", "switches"),
    "limit": ("a limit", "limits"),
    "allowance": ("an allowance", "allowances"),
    "metered": ("metered", "metered"),
}
# https://docs.stripe.com/api/prices/create#create_price-recurring-interval_count
LONGEST_PERIOD_MONTHS = 36


def broken(catalog: Catalog) -> list[str]:
    """Sentences for everything that does not fit together, in the file's order."""
    problems = [*_default_plan(catalog), *_lookup_keys(catalog), *_features(catalog), *_packs(catalog)]
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
    so = f'default_plan: everybody starts on "{plan.key}", so'
    if plan.prices:
        yield f"{so} it must be free; take plans.{plan.key}.prices out"
    if plan.contact_sales:
        yield f"{so} plans.{plan.key}.contact_sales must be false"
    if plan.retired:
        yield f"{so} plans.{plan.key}.retired must be false"
    if plan.audience != "any":
        yield f'{so} plans.{plan.key}.audience must be "any"'


def _lookup_keys(catalog: Catalog) -> Iterator[str]:
    places: dict[str, list[str]] = {}
    for plan in catalog.plans.values():
        for number, price in enumerate(plan.prices):
            places.setdefault(price.lookup_key, []).append(f"plans.{plan.key}.prices[{number}]")
    for number, pack in enumerate(catalog.packs):
        places.setdefault(pack.lookup_key, []).append(f"packs[{number}]")
    for key, [first, *others] in places.items():
        for other in others if key else []:
            yield f'{other}.lookup_key: "{key}" is taken by {first}; every price needs its own'


def _features(catalog: Catalog) -> Iterator[str]:
    taken: dict[str, str] = {}
    for key, feature in catalog.features.items():
        name = feature.meter_event_name
        if name and taken.setdefault(name, key) != key:
            yield f'features.{key}.meter_event_name: "{name}" is taken by features.{taken[name]}'


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
    for key, allowance in plan.allowances.items():
        yield from _allowance(allowance, plan, f"{path}.allowances.{key}")


def _allowance(allowance: Allowance, plan: Plan, where: str) -> Iterator[str]:
    """What comes on top of an allowance needs an allowance that ends."""
    if allowance.quantity is None:
        if allowance.feature in plan.metered:
            yield (
                f'{where}.quantity: "unlimited" is never paid by the unit; write how many are included, or take '
                f'"{allowance.feature}" out of plans.{plan.key}.metered'
            )
        if allowance.rollover is not None:
            yield f'{where}.rollover: of "unlimited" nothing is left over; take it out'
        if allowance.forgive:
            yield f'{where}.forgive: nobody goes beyond "unlimited"; take it out'
    elif allowance.quantity == 0 and allowance.rollover is not None:
        yield f"{where}.rollover: of 0 nothing is left over; take it out"


def _packs(catalog: Catalog) -> Iterator[str]:
    for number, pack in enumerate(catalog.packs):
        where, feature = f"packs[{number}]", catalog.features.get(pack.feature)
        if pack.currency != catalog.currency:
            yield f'{where}.currency: this price list is in "{catalog.currency}", got "{pack.currency}"'
        if feature is None:
            if pack.feature:
                yield f"{where}.feature: there is no [features.{pack.feature}]{meant(pack.feature, catalog.features)}"
        elif feature.kind and feature.kind not in ("allowance", "metered"):
            yield f'{where}.feature: "{pack.feature}" is {WORDS[feature.kind][0]}; a pack sells what is used up'


def _prices(plan: Plan, catalog: Catalog, path: str) -> Iterator[str]:
    for number, price in enumerate(plan.prices):
        where = f"{path}.prices[{number}]"
        if price.currency != catalog.currency:
            yield f'{where}.currency: this price list is in "{catalog.currency}", got "{price.currency}"'
        if price.currency in price.currencies:
            yield f'{where}.currencies: "{price.currency}" is its own currency; amount says what it asks in that'
        if price.currencies and price.tiers:
            yield f"{where}.currencies: a price in steps is sold in one currency; take out one of the two"
        missing = [code for code in catalog.currencies[1:] if code not in price.currencies]
        if missing and not plan.retired:
            yield f"{where}.currencies: others are sold in {listed(missing)} too; write what this one asks in it"
        if price.months > LONGEST_PERIOD_MONTHS:
            yield f"{where}.interval_count: Stripe bills at most every three years"
        if price.meter is not None:
            yield from _metered_price(price, plan, catalog.features, where)
        if price.tiers and price.meter is None and not price.per_seat:
            yield f"{where}.tiers: are for what is counted; write per_seat = true or meter, or an amount"
        if price.per_seat and plan.seats is None:
            yield f"{where}.per_seat: the plan sells no seats; write {path}.seats = {{ min = 1 }}"
    for key in sorted(plan.metered):
        if not any(price.meter == key for price in plan.prices) and not plan.contact_sales:
            yield f'{path}.metered: "{key}" has no price; write a [[{path}.prices]] with meter = "{key}"'
    for (first, one), (second, other) in combinations(enumerate(plan.prices), 2):
        if one.interval and (one.meter, one.months) == (other.meter, other.months):
            yield f"{path}.prices[{second}].interval: prices[{first}] is billed as often; keep one of them"
    for price in plan.metered_prices if plan.base_prices else ():
        if price.months not in {base.months for base in plan.base_prices}:
            yield f'{path}.prices: "{price.lookup_key}" needs a base price billed as often, to go with it'


def _metered_price(price: Price, plan: Plan, features: dict[str, Feature], where: str) -> Iterator[str]:
    key = price.meter or ""
    feature = features.get(key)
    if feature is None:
        yield f"{where}.meter: there is no [features.{key}]{meant(key, features)}"
    elif feature.kind and feature.kind != "metered":
        yield f'{where}.meter: "{key}" is {WORDS[feature.kind][0]}; only what is metered is paid by the unit'
    elif key not in plan.metered:
        yield f'{where}.meter: write metered = ["{key}"] in [plans.{plan.key}], else nobody may use it'
    if price.per_seat:
        yield f"{where}.per_seat: a metered price counts units, not seats"


def _seats(plan: Plan, path: str) -> Iterator[str]:
    seats = plan.seats
    if seats is None:
        return
    if seats.max is not None and seats.min > seats.max:
        yield f"{path}.seats: min ({seats.min}) must not be above max ({seats.max})"
    if seats.follow_members and seats.ladder:
        yield (
            f"{path}.seats: a plan whose seats follow_members is no step of a ladder; nobody agrees to another plan "
            "by inviting somebody"
        )
    if plan.audience == "individual":
        yield f'{path}.seats: seats are for organizations; audience must be "organization" or "any"'
    if plan.base_prices and not any(price.per_seat for price in plan.base_prices):
        yield f"{path}.seats: no price is per seat; write per_seat = true in [[{path}.prices]], or drop seats"


def _terms(plan: Plan, path: str) -> Iterator[str]:
    if plan.contact_sales and plan.prices:
        yield f"{path}.contact_sales: a plan sold by talking has no prices here; take out one of the two"
    for key in ("trial_days", "grace_days", "money_back_days", "pause_months"):
        if getattr(plan, key) and plan.is_free:
            yield f"{path}.{key}: the plan costs nothing, so there is nothing to try, to owe or to give back"
    if not plan.trial_needs_card and not plan.trial_days:
        yield f"{path}.trial_without_card: there is no trial; write trial_days too, or take it out"
    if plan.pause_months and not any(price.months == 1 and not price.meter for price in plan.prices):
        yield f"{path}.pause_months: only what is paid month by month can be paused; the plan has no such price"
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
