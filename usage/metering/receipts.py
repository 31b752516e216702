"""What an act was counted as: how many units, where they came from, what they cost, what is left."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from billing import catalog, currencies
from usage import denominations
from usage.denominations import Denominations
from usage.metering import forgiving
from usage.metering.attempts import Attempt

Kind = Literal["allowance", "forgiven", "credits", "paid"]


@dataclass(frozen=True, slots=True)
class Source:
    """A part of an act's units. `amount` is what they cost in minor units; None for what is not paid by the unit.

    allowance  of the window, rolled-over units among it
    forgiven   beyond it for the first time, and given
    credits    bought ahead or given
    paid       by the unit, on the next invoice
    """

    kind: Kind
    units: int
    amount: int | None = None


class Receipt(NamedTuple):
    """What an act was counted as. `used`, `limit`, `remaining` are units after it; None: no limit.

    `limit` is the window's allowance, the credits drawn in it and what may be paid for; `remaining` does not count
    credits that are still there. `cost` is in minor units of `currency`,
    the one the account pays in; where it is 0 the price list's own. `record_id` is its row in the ledger;
    `resets_at` is when the allowance comes back, in the account's time; `replayed`: the key had been counted before,
    and the numbers are those of then. A tuple, because a batch makes a thousand of them: one is made in a third of the
    time that a frozen dataclass takes.
    """

    record_id: int
    feature: str
    units: int
    used: int
    limit: int | None
    remaining: int | None
    resets_at: datetime
    replayed: bool
    sources: tuple[Source, ...]
    cost: int
    currency: str


def made(
    attempt: Attempt,
    *,
    account_id: uuid.UUID,
    feature: str,
    units: int,
    costs_in: Callable[[], Denominations] | None = None,
) -> Receipt:
    """The receipt of an act that was granted or replayed. `costs_in`: what a batch has looked up once for its lines."""
    assert attempt.period_end is not None
    assert attempt.record_id is not None
    return Receipt(
        record_id=attempt.record_id,
        feature=feature,
        units=units,
        used=attempt.used,
        limit=attempt.limit,
        remaining=None if attempt.limit is None else max(attempt.limit - attempt.used - attempt.reserved, 0),
        resets_at=attempt.period_end,
        replayed=attempt.outcome == "replayed",
        sources=_sources(attempt, units),
        cost=attempt.cost,
        currency=_currency_of_then(attempt, account_id, costs_in)
        if attempt.cost and (costs_in or attempt.outcome == "replayed")
        else currency(account_id, cost=attempt.cost),
    )


def currency(account_id: uuid.UUID, *, cost: int) -> str:
    """What a receipt's `cost` is in. Nothing is nothing in any currency, so that who pays nothing is not looked up."""
    return currencies.of(account_id) if cost else catalog.current().currency


def _currency_of_then(
    attempt: Attempt, account_id: uuid.UUID, costs_in: Callable[[], Denominations] | None
) -> str:
    assert attempt.record_id is not None
    known = costs_in() if costs_in else denominations.of(account_id)
    return known.of(attempt.record_id)


def _sources(attempt: Attempt, units: int) -> tuple[Source, ...]:
    forgiven = 0
    if attempt.credited:
        assert attempt.record_id is not None
        forgiven = forgiving.units_of(attempt.record_id)
    return sources(
        units=units,
        credited=attempt.credited - forgiven,
        forgiven=forgiven,
        billed=attempt.billed,
        cost=attempt.cost,
    )


def sources(
    *, units: int, credited: int = 0, forgiven: int = 0, billed: int = 0, cost: int = 0
) -> tuple[Source, ...]:
    """The parts of `units` that are not nothing; the rest of them is the allowance's."""
    if not credited and not forgiven and not billed:
        return (Source("allowance", units),)
    parts = (
        Source("allowance", units - credited - forgiven - billed),
        Source("forgiven", forgiven),
        Source("credits", credited),
        Source("paid", billed, cost),
    )
    return tuple(part for part in parts if part.units)
