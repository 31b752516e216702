"""Many acts of one account in one call: all of them or none, or each by itself.

On PostgreSQL a batch of new acts that the allowance covers, or that may simply be paid for, is one round trip. Where
anything else is in it (an act sent again, credits, budgets, a refusal) the acts are counted one after the other, in
one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import cache, partial
from typing import Literal, NamedTuple

from django.conf import settings
from django.db import Error, IntegrityError, connection, transaction

from accounts.models import Account, ApiKey, User
from billing import catalog
from billing.catalog import Catalog
from usage import denominations
from usage.alerts import hearing
from usage.metering import consuming, counters, postgres, receipts
from usage.metering.postgres import Counted
from usage.metering.receipts import Receipt, Source
from usage.metering.refusals import (
    CheckFailed,
    FeatureNotIncluded,
    IdempotencyConflict,
    InvalidKey,
    InvalidUnits,
    Refused,
    UnknownFeature,
)

MOST_LINES = 1_000

Mode = Literal["all", "each"]
# What one line may come to without the others being in doubt.
Fault = Refused | IdempotencyConflict | InvalidUnits | InvalidKey | UnknownFeature
_FAULTS = (Refused, IdempotencyConflict, InvalidUnits, InvalidKey, UnknownFeature)


class Line(NamedTuple):
    """One act of a batch: `units` of `feature`, named by a key that is unique for the account."""

    feature: str
    units: int
    idempotency_key: str


class BatchRefused(Exception):
    """A line could not be counted, so none was. `line` is its place, counted from 0; `fault` says why."""

    def __init__(self, line: int, fault: Fault) -> None:
        # What the fault says of what is left is so only once the lines before are counted, and none of them is.
        after = " after the lines before it" if line and isinstance(fault, Refused) else ""
        super().__init__(
            f"None of the lines was counted. Line {line} (counted from 0) could not be counted{after}: {fault}"
        )
        self.line = line
        self.fault = fault


class InvalidBatch(ValueError):
    """A batch has from 1 to 1,000 lines. Nothing was counted."""


def consume_batch(
    *,
    account: Account,
    lines: Sequence[Line],
    mode: Mode = "all",
    now: datetime,
    user: User | None = None,
    api_key: ApiKey | None = None,
) -> list[Receipt | Fault]:
    """Count the acts `lines` in their order, as `consume` counts one; the answers are in the same order.

    mode  "all": every line is counted, or none is and BatchRefused names the first that could not be;
          "each": what cannot be counted is answered by its exception, in its place, and the others are counted

    A line whose key was counted before is answered as then, so the whole batch may be sent again. The account, `now`,
    `user` and `api_key` are those of `consume`. Raises InvalidBatch; CheckFailed when the answers could not be
    established: nothing was counted, and sending the batch again is safe.
    """
    if not 1 <= len(lines) <= MOST_LINES:
        raise InvalidBatch(
            f"A batch has from 1 to {MOST_LINES:,} lines; this one has {len(lines):,}. Divide it."
        )
    try:
        prices = catalog.current()
        faults = _faults(lines, prices)
        if mode == "all" and faults:
            line = min(faults)
            raise BatchRefused(line, faults[line])
        if user is not None:
            try:
                consuming.check_role(account, user, lines[0].feature)
            except FeatureNotIncluded as refused:
                if mode == "all":
                    raise BatchRefused(0, refused) from None
                return [refused for _ in lines]
        sound = [line for number, line in enumerate(lines) if number not in faults]
        answers = iter(
            _at_once(account, sound, prices, now=now, user=user, api_key=api_key)
            or _one_by_one(account, sound, mode, now=now, user=user, api_key=api_key)
        )
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "The allowance could not be checked just now, so nothing was counted. Send the batch again as it is."
        ) from error
    return [faults[number] if number in faults else next(answers) for number in range(len(lines))]


def _faults(lines: Sequence[Line], prices: Catalog) -> dict[int, Fault]:
    """What is wrong with a line whatever the account has, by the line's place."""
    faults: dict[int, Fault] = {}
    for number, line in enumerate(lines):
        try:
            consuming.check(line.units, line.idempotency_key)
        except (InvalidUnits, InvalidKey) as fault:
            faults[number] = fault
            continue
        known = prices.features.get(line.feature)
        if known is None or known.kind not in ("allowance", "metered"):
            faults[number] = UnknownFeature(f"The price list has nothing countable called {line.feature!r}.")
    return faults


def _at_once(
    account: Account,
    lines: Sequence[Line],
    prices: Catalog,
    *,
    now: datetime,
    user: User | None,
    api_key: ApiKey | None,
) -> list[Receipt | Fault]:
    """In one round trip, or an empty list when it takes more than that."""
    keys = {line.idempotency_key for line in lines}
    if connection.vendor != "postgresql" or len(keys) < len(lines):
        return []
    features = sorted({line.feature for line in lines})
    place = {feature: number for number, feature in enumerate(features, 1)}
    try:
        with transaction.atomic() if connection.in_atomic_block else nullcontext():
            counted = postgres.attempt_batch(
                account_id=account.pk,
                features=features,
                which=[place[line.feature] for line in lines],
                units=[line.units for line in lines],
                keys=[line.idempotency_key for line in lines],
                now=now,
                catalog=prices.fingerprint,
                meter_events=[prices.features[feature].meter_event_name for feature in features],
                user_id=user.pk if user else None,
                api_key_id=api_key.pk if api_key else None,
            )
    except IntegrityError:
        # A key of the batch is being counted elsewhere.
        return []
    if any(found.outcome != "granted" for found in counted):
        return []
    if any(found.needs_barrier for found in counted) and settings.METERING_EARLY_LOCK_RELEASE != "off":
        postgres.barrier()
    return _receipts(account, lines, dict(zip(features, counted, strict=True)))


def _receipts(account: Account, lines: Sequence[Line], counted: dict[str, Counted]) -> list[Receipt | Fault]:
    made: dict[str, Iterator[Receipt]] = {}
    units = {feature: [line.units for line in lines if line.feature == feature] for feature in counted}
    together = {feature: sum(of_lines) for feature, of_lines in units.items()}
    costs = {
        feature: max(together[feature] - found.free, 0) * (found.unit_amount or 0)
        for feature, found in counted.items()
    }
    currency = receipts.currency(account.pk, cost=sum(costs.values()))
    for feature, found in counted.items():
        made[feature] = _receipts_of(feature, units[feature], found, currency)
        hearing.note(
            units=together[feature],
            used=found.used_before + together[feature],
            limit=found.limit,
            cost=costs[feature],
        )
    return [next(made[line.feature]) for line in lines]


def _receipts_of(feature: str, units: list[int], found: Counted, currency: str) -> Iterator[Receipt]:
    """One after the other, as `receipts.made` makes one; they share what they have in common."""
    assert found.period_end is not None
    used_before, free, limit, resets_at = found.used_before, found.free, found.limit, found.period_end
    before, room = 0, None if limit is None else limit - used_before - found.reserved
    parts: dict[tuple[int, int], tuple[Source, ...]] = {}
    for record_id, of_line in zip(found.record_ids, units, strict=True):
        after = before + of_line
        billed = after - max(before, free) if after > free else 0
        cost = billed * (found.unit_amount or 0)
        if (sources := parts.get((of_line, billed))) is None:
            sources = parts[of_line, billed] = receipts.sources(units=of_line, billed=billed, cost=cost)
        yield Receipt(
            record_id,
            feature,
            of_line,
            used=used_before + after,
            limit=limit,
            remaining=None if room is None else room - after if room > after else 0,
            resets_at=resets_at,
            replayed=False,
            sources=sources,
            cost=cost,
            currency=currency,
        )
        before = after


@transaction.atomic
def _one_by_one(
    account: Account,
    lines: Sequence[Line],
    mode: Mode,
    *,
    now: datetime,
    user: User | None,
    api_key: ApiKey | None,
) -> list[Receipt | Fault]:
    # All queues before the first act, in one order, so that no two batches wait for each other.
    for feature in sorted({line.feature for line in lines}):
        counters.queue(account.pk, feature)
    costs_in = cache(partial(denominations.of, account.pk))
    answers: list[Receipt | Fault] = []
    for number, line in enumerate(lines):
        try:
            answers.append(
                consuming.consume(
                    account=account,
                    feature=line.feature,
                    units=line.units,
                    idempotency_key=line.idempotency_key,
                    now=now,
                    user=user,
                    api_key=api_key,
                    costs_in=costs_in,
                )
            )
        except _FAULTS as fault:
            if mode == "all":
                raise BatchRefused(number, fault) from None
            answers.append(fault)
    return answers
