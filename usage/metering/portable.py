"""Counting through the ORM: what SQLite runs, and the reference that PostgreSQL's function is tested against."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction
from django.db.models import F

from billing.models import Customer
from usage.metering.attempts import Ask, Attempt
from usage.models import MeterEvent, UsageCounter, UsageDay, UsageRecord

# Outbox rows are due whatever the clock says; a sender that fails sets a time.
DUE_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)


@transaction.atomic  # on SQLite IMMEDIATE: one writer at a time from the first statement on
def attempt(ask: Ask) -> Attempt:
    """Try once, in one transaction. Raises IntegrityError when the same key is counting elsewhere at this moment."""
    customer = (
        Customer.objects.filter(account_id=ask.account_id).values_list("access_version", "clock_now").first()
    )
    access_version, clock_now = customer or (0, None)
    seen_at = clock_now or ask.now

    earlier = UsageRecord.objects.filter(
        account_id=ask.account_id, idempotency_key=ask.idempotency_key
    ).first()
    if earlier is not None:
        return _repeated(ask, earlier, seen_at=seen_at)

    counter = (
        UsageCounter.objects.select_for_update()
        .filter(
            account_id=ask.account_id,
            feature=ask.feature,
            period_start__lte=seen_at,
            period_end__gt=seen_at,
            valid_until__gt=seen_at,
            stamp=f"{ask.catalog}:{access_version}",
        )
        .order_by("-id")
        .first()
    )
    if counter is None:
        return Attempt("stale", seen_at)
    if counter.limit_units is not None and counter.used + counter.reserved + ask.units > counter.limit_units:
        return _with_numbers("exhausted", counter, seen_at=seen_at)

    counter.used += ask.units
    counter.save(update_fields=["used"])
    record = UsageRecord.objects.create(
        account_id=ask.account_id,
        feature=ask.feature,
        units=ask.units,
        used_after=counter.used,
        limit_at_grant=counter.limit_units,
        idempotency_key=ask.idempotency_key,
        period_start=counter.period_start,
        recorded_at=seen_at,
        user_id=ask.user_id,
        api_key_id=ask.api_key_id,
    )
    _add_to_day(ask, seen_at=seen_at)
    if counter.is_metered and ask.meter_event_name is not None:
        MeterEvent.objects.create(
            record=record,
            account_id=ask.account_id,
            event_name=ask.meter_event_name,
            identifier=f"{ask.account_id}-{record.pk}",
            units=ask.units,
            occurred_at=seen_at,
            next_attempt_at=DUE_AT_ONCE,
        )
    return _with_numbers("granted", counter, seen_at=seen_at, record_id=record.pk)


def _repeated(ask: Ask, earlier: UsageRecord, *, seen_at: datetime) -> Attempt:
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
    )


def _add_to_day(ask: Ask, *, seen_at: datetime) -> None:
    day, is_new = UsageDay.objects.get_or_create(
        account_id=ask.account_id,
        feature=ask.feature,
        day=seen_at.astimezone(UTC).date(),
        defaults={"units": ask.units},
    )
    if not is_new:
        UsageDay.objects.filter(pk=day.pk).update(units=F("units") + ask.units)


def _with_numbers(
    outcome: str, counter: UsageCounter, *, seen_at: datetime, record_id: int | None = None
) -> Attempt:
    assert outcome in ("granted", "exhausted")
    return Attempt(
        outcome,  # type: ignore[arg-type]
        seen_at,
        record_id=record_id,
        used=counter.used,
        reserved=counter.reserved,
        limit=counter.limit_units,
        period_start=counter.period_start,
        period_end=counter.period_end,
    )
