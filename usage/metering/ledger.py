"""Reading and writing the books through the ORM: what the portable way and the slow way do alike.

Everything here belongs to the caller's transaction, which holds the queue of the account and feature.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from django.db.models import F

from billing.models import Customer
from usage import periods
from usage.metering.attempts import Ask, Attempt, Reason
from usage.models import MeterEvent, UsageCounter, UsageDay, UsageRecord

# Outbox rows are due whatever the clock says; a sender that fails sets a time.
DUE_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
# No window is longer: what began before cannot be open.
LONGEST_WINDOW = timedelta(days=40)


def seen(ask: Ask) -> tuple[str, datetime]:
    """The stamp a counter must carry to be trusted, and the account's time of this try."""
    customer = (
        Customer.objects.filter(account_id=ask.account_id).values_list("access_version", "clock_now").first()
    )
    access_version, clock_now = customer or (0, None)
    return f"{ask.catalog}:{access_version}", clock_now or ask.now


def repeated(ask: Ask, *, seen_at: datetime) -> Attempt | None:
    """What the act of this key came to if there was one before, else None."""
    earlier = UsageRecord.objects.filter(
        account_id=ask.account_id, idempotency_key=ask.idempotency_key
    ).first()
    if earlier is None:
        return None
    if (earlier.feature, earlier.units) != (ask.feature, ask.units):
        return Attempt("conflict", seen_at)
    counter = UsageCounter.objects.get(
        account_id=ask.account_id, feature=ask.feature, period_start=earlier.period_start
    )
    return Attempt(
        "replayed",
        seen_at,
        record_id=earlier.pk,
        used=earlier.used_after,
        limit=earlier.limit_at_grant,
        period_start=counter.period_start,
        period_end=counter.period_end,
        credited=earlier.credited,
        billed=earlier.billed,
        cost=earlier.cost,
    )


def open_counter(ask: Ask, *, stamp: str, seen_at: datetime) -> UsageCounter | None:
    """The counter of the window at `seen_at`, locked, if one may be trusted; a new month on known terms is begun."""
    counters = UsageCounter.objects.filter(account_id=ask.account_id, feature=ask.feature)
    counter = (
        counters.select_for_update()
        .filter(
            period_start__lte=seen_at,
            period_start__gt=seen_at - LONGEST_WINDOW,
            period_end__gt=seen_at,
            valid_until__gt=seen_at,
            stamp=stamp,
        )
        .order_by("-period_start")
        .first()
    )
    if counter is not None:
        return counter
    last = counters.filter(period_start__lte=seen_at).order_by("-period_start").first()
    if last is None or last.anchor is None or last.stamp != stamp:
        return None
    if not last.period_end <= seen_at < last.valid_until:
        return None
    month = periods.containing(now=seen_at, per="month", anchor=last.anchor)
    if counters.filter(period_end__gt=month.start).exists():
        return None
    return UsageCounter.objects.create(
        account_id=ask.account_id,
        feature=ask.feature,
        period_start=month.start,
        period_end=month.end,
        limit_units=last.limit_units,
        is_metered=last.is_metered,
        paid_limit=last.paid_limit,
        unit_amount=last.unit_amount,
        asks_first=last.asks_first,
        counts_members=last.counts_members,
        anchor=last.anchor,
        valid_until=last.valid_until,
        stamp=stamp,
    )


def write(
    ask: Ask, counter: UsageCounter, *, seen_at: datetime, credited: int, billed: int, cost: int
) -> Attempt:
    """Count the act: counter, ledger, roll-up and, for what is to be paid, the outbox."""
    counter.used += ask.units
    counter.credited += credited
    counter.billed += billed
    counter.save(update_fields=["used", "credited", "billed"])
    record = UsageRecord.objects.create(
        account_id=ask.account_id,
        feature=ask.feature,
        units=ask.units,
        credited=credited,
        billed=billed,
        cost=cost,
        used_after=counter.used,
        limit_at_grant=counter.limit,
        idempotency_key=ask.idempotency_key,
        period_start=counter.period_start,
        recorded_at=seen_at,
        user_id=ask.user_id,
        api_key_id=ask.api_key_id,
    )
    add_to_day(ask, units=ask.units, at=seen_at)
    if billed and ask.meter_event_name is not None:
        MeterEvent.objects.create(
            record=record,
            account_id=ask.account_id,
            event_name=ask.meter_event_name,
            identifier=f"{ask.account_id}-{record.pk}",
            units=billed,
            occurred_at=seen_at,
            next_attempt_at=DUE_AT_ONCE,
        )
    return numbers(
        "granted",
        counter,
        seen_at=seen_at,
        record_id=record.pk,
        credited=credited,
        billed=billed,
        cost=cost,
    )


def add_to_day(ask: Ask, *, units: int, at: datetime) -> None:
    """Add to the roll-up of the actor's UTC day."""
    day, is_new = UsageDay.objects.get_or_create(
        account_id=ask.account_id,
        feature=ask.feature,
        day=at.astimezone(UTC).date(),
        user_id=ask.user_id or 0,
        api_key_id=ask.api_key_id or 0,
        defaults={"units": units},
    )
    if not is_new:
        UsageDay.objects.filter(pk=day.pk).update(units=F("units") + units)


def numbers(
    outcome: Literal["granted", "asks", "exhausted"],
    counter: UsageCounter,
    *,
    seen_at: datetime,
    record_id: int | None = None,
    credited: int = 0,
    billed: int = 0,
    cost: int = 0,
    reason: Reason = "allowance_exhausted",
) -> Attempt:
    """The counter's numbers as an attempt."""
    return Attempt(
        outcome,
        seen_at,
        record_id=record_id,
        used=counter.used,
        reserved=counter.reserved + counter.paid_reserved,
        limit=counter.limit,
        period_start=counter.period_start,
        period_end=counter.period_end,
        credited=credited,
        billed=billed,
        cost=cost,
        reason=reason,
    )
