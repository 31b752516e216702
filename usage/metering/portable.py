"""Counting through the ORM: what SQLite runs, and the reference that PostgreSQL's function is tested against."""

from __future__ import annotations

from django.db import transaction

from usage.metering import ledger
from usage.metering.attempts import Ask, Attempt


@transaction.atomic  # on SQLite IMMEDIATE: one writer at a time from the first statement on
def attempt(ask: Ask) -> Attempt:
    """Try once, in one transaction. Raises IntegrityError when the same key is counting elsewhere at this moment."""
    stamp, seen_at = ledger.seen(ask)
    earlier = ledger.repeated(ask, seen_at=seen_at)
    if earlier is not None:
        return earlier
    counter = ledger.open_counter(ask, stamp=stamp, seen_at=seen_at)
    if counter is None:
        return Attempt("stale", seen_at)

    # Of the allowance as far as it goes, the rest to be paid by the unit.
    free = counter.allowance_left
    billed = 0 if free is None else max(ask.units - free, 0)
    if (billed and counter.asks_first) or (counter.counts_members and ask.user_id is not None):
        return Attempt("asks", seen_at, period_start=counter.period_start, period_end=counter.period_end)
    if billed and counter.paid_left is not None and billed > counter.paid_left:
        return ledger.numbers("exhausted", counter, seen_at=seen_at)
    return ledger.write(
        ask, counter, seen_at=seen_at, credited=0, billed=billed, cost=billed * (counter.unit_amount or 0)
    )
