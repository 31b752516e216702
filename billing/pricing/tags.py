"""One price on a card, in words that are ready to be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from billing import money
from billing.catalog import Catalog, Plan, Price
from billing.catalog.sold import Interval
from billing.pricing import savings
from billing.pricing.viewer import Viewer


@dataclass(frozen=True)
class Tag:
    """One price on a card. All texts are ready to be shown."""

    price: Price
    amount: str
    per: str
    # "from", where it is the lowest of several steps.
    prefix: str
    # The steps of a price that has them: "1 to 100 for $0.50 each".
    steps: tuple[str, ...]
    # What is paid by the unit, each with its steps: "1,000 tokens a month included, then $0.50 a token".
    units: tuple[tuple[str, tuple[str, ...]], ...]
    # What the smallest purchase costs, where that is more than one seat.
    total: str
    first_seats: int
    saving: str
    trial: str
    renewal: str


def of(plan: Plan, interval: Interval, catalog: Catalog, viewer: Viewer) -> Tag | None:
    """The price of a plan by the month or by the year; None where it is not sold so."""
    price = plan.price_every(interval)
    if price is None:
        return None
    seats = _first_seats(plan, viewer) if price.per_seat else 1
    sum_text = money.text(price.charge(seats), price.currency)
    # The sum of a number of seats stands beside their picker, which keeps it right while the number changes.
    charge = "" if price.per_seat else f", {sum_text},"
    return Tag(
        price=price,
        amount=money.text(money.lowest(price), price.currency, short=True),
        per=_per(price),
        prefix="from" if money.has_steps(price) else "",
        steps=tuple(money.steps(price)),
        units=tuple(_by_the_unit(plan, price, catalog)),
        total=f"{sum_text} a {money.period_phrase(price)}" if price.per_seat else "",
        first_seats=seats,
        saving=savings.phrase(plan, price) if interval == "year" else "",
        trial=_trial(plan, charge, viewer),
        renewal=_renewal(price),
    )


def _by_the_unit(plan: Plan, price: Price, catalog: Catalog) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What use costs, and how much of it is included."""
    for metered in plan.metered_prices:
        if metered.months != price.months or metered.meter is None:
            continue
        allowance, phrase = plan.included(metered.meter), money.price_phrase(metered)
        is_beside = metered != price
        if allowance is not None and allowance.quantity:
            many = money.quantity(allowance.quantity, catalog.feature(metered.meter))
            yield (
                f"{many} a {allowance.per} included, then {phrase}",
                tuple(money.steps(metered) if is_beside else ()),
            )
        elif is_beside:
            yield f"and {phrase}", tuple(money.steps(metered))


def _first_seats(plan: Plan, viewer: Viewer) -> int:
    """How many seats the picker begins with: those there are people for, within what is sold."""
    if plan.seats is None:
        return 1
    return min(max(plan.seats.min, viewer.people), plan.seats.max or viewer.people + plan.seats.min)


def _per(price: Price) -> str:
    if price.meter:
        return f"a {price.unit_label or 'unit'}"
    return f"a seat and {money.period_phrase(price)}" if price.per_seat else f"a {money.period_phrase(price)}"


def _trial(plan: Plan, charge: str, viewer: Viewer) -> str:
    """The terms, with the date and the sum of the first charge."""
    days = plan.trial_days if viewer.rights is None else viewer.trials.get(plan.key, 0)
    if not days:
        return ""
    first = viewer.now + timedelta(days=days)
    day = f"{first:%-d %B %Y}"
    once = "One trial per person and card; a second one is not started, and nothing is charged."
    if not plan.trial_needs_card:
        return f"Free for {days} days, no card needed. Add one by {day} to go on. {once}"
    return f"Free for {days} days. The first charge{charge} comes on {day}; cancel before and pay nothing. {once}"


def _renewal(price: Price) -> str:
    if price.meter:
        return f"No monthly fee. What you used is charged at the end of each {money.period_phrase(price)}."
    return f"Renews every {money.period_phrase(price)} until you cancel."
