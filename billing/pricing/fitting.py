"""Whether a plan would do: from what use on another costs less, what would be too little, where there is more."""

from __future__ import annotations

from billing import money
from billing.catalog import Catalog, Plan
from billing.pricing.viewer import Viewer
from billing.seats import MEMBERS


def break_even(plan: Plan, catalog: Catalog) -> str:
    """From how many units on a flat plan for the same people costs less than this one by the unit."""
    tag = plan.price_every("month")
    if tag is None or tag.meter is None or tag.tiers:
        return ""
    feature = catalog.feature(tag.meter)
    flat = [
        (price.amount, other.name)
        for other in catalog.for_sale()
        if (price := other.price_every("month")) is not None
        and price.meter is None
        and not price.per_seat
        and (allowance := other.allowances.get(feature.key)) is not None
        and allowance.quantity is None
    ]
    if not flat:
        return ""
    amount, name = min(flat)
    included = plan.included(feature.key)
    units = amount // tag.amount + 1 + (included.quantity or 0 if included and included.per == "month" else 0)
    return f"From {units:,} {feature.unit_many} a month on, {name} costs less."


def too_little(plan: Plan, catalog: Catalog, viewer: Viewer) -> list[str]:
    """What the account used in the running period and this plan would not have given."""
    sentences = []
    for key, used in viewer.used.items():
        allowance = plan.allowances.get(key)
        given = 0 if allowance is None else allowance.quantity
        if key in plan.metered or given is None or used <= given:
            continue
        feature = catalog.feature(key)
        has = money.quantity(given, feature) if given else f"no {feature.unit_many}"
        sentences.append(f"You used {money.quantity(used, feature)} in this period; {plan.name} has {has}.")
    room = plan.limits.get(MEMBERS)
    if room is not None and viewer.people > room:
        sentences.append(f"You are {viewer.people} people; {plan.name} has room for {room}.")
    return sentences


def next_step(plan: Plan, catalog: Catalog) -> str:
    """Where more seats than this plan sells are to be had."""
    if plan.seats is None or plan.seats.max is None or not plan.seats.ladder:
        return ""
    larger = catalog.for_seats(plan.seats.ladder, plan.seats.max + 1)
    return f"{plan.seats.max + 1} seats and more: {larger.name}." if larger else ""
