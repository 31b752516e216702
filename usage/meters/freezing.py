"""Waiting acts are frozen into deliveries: those of one account and meter, one hour and one billing period together."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts.models import Account
from usage.meters import periods
from usage.models import MeterDelivery, MeterEvent

# Acts frozen in one transaction.
HELPING = 5000
# Stripe's values have at most 15 digits: `value_too_many_digits` in
# https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage#handle-meter-event-errors
MOST_UNITS = 10**15 - 1

# Account, meter, usage window, billing period and hour.
Group = tuple[UUID, str, datetime, int, datetime]


def freeze(*, now: datetime, account: Account | None = None) -> int:
    """Make deliveries of what waits, of everybody or of one account; answers how many were made.

    An account whose deliveries of a meter are still on their way gets no new one there: what comes in meanwhile gathers
    and travels together. Any number of freezers may run at once; each takes rows no other has. `now` is wall time.
    """
    made = 0
    while True:
        with transaction.atomic():
            waiting = _take(account)
            deliveries = _deliveries(waiting, now=now)
        made += len(deliveries)
        if len(waiting) < HELPING:
            return made


def _take(account: Account | None) -> list[MeterEvent]:
    on_their_way = MeterDelivery.objects.waiting().filter(
        account_id=OuterRef("account_id"), event_name=OuterRef("event_name"), attempts__gt=0
    )
    waiting = MeterEvent.objects.filter(~Exists(on_their_way), state=MeterEvent.State.WAITING)
    if account is not None:
        waiting = waiting.filter(account=account)
    return list(
        waiting.select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked, of=("self",)
        )
        .select_related("record")
        .only("account_id", "event_name", "identifier", "units", "occurred_at", "record__period_start")
        .order_by("id")[:HELPING]
    )


def _deliveries(events: list[MeterEvent], *, now: datetime) -> list[MeterDelivery]:
    groups = list(_groups(events))
    deliveries = MeterDelivery.objects.bulk_create(_delivery(together, now=now) for together in groups)
    for together, delivery in zip(groups, deliveries, strict=True):
        MeterEvent.objects.filter(pk__in=[event.pk for event in together]).update(
            state=MeterEvent.State.FROZEN, delivery=delivery
        )
    return deliveries


def _delivery(events: list[MeterEvent], *, now: datetime) -> MeterDelivery:
    first = events[0]
    return MeterDelivery(
        account_id=first.account_id,
        event_name=first.event_name,
        # The first act's own: an act is in one delivery, so no other delivery can have it.
        identifier=first.identifier,
        units=sum(event.units for event in events),
        acts=len(events),
        occurred_at=max(event.occurred_at for event in events),
        frozen_at=now,
        next_attempt_at=now,
    )


def _groups(events: list[MeterEvent]) -> Iterable[list[MeterEvent]]:
    boundaries = periods.boundaries({event.account_id for event in events})
    groups: dict[Group, list[MeterEvent]] = defaultdict(list)
    for event in events:
        groups[_group(event, boundaries.get(event.account_id, []))].append(event)
    for together in groups.values():
        yield from _small_enough(together)


def _group(event: MeterEvent, boundaries: list[datetime]) -> Group:
    return (
        event.account_id,
        event.event_name,
        event.record.period_start,
        bisect_right(boundaries, event.occurred_at),
        event.occurred_at.replace(minute=0, second=0, microsecond=0),
    )


def _small_enough(events: list[MeterEvent]) -> Iterator[list[MeterEvent]]:
    part: list[MeterEvent] = []
    units = 0
    for event in events:
        if part and units + event.units > MOST_UNITS:
            yield part
            part, units = [], 0
        part.append(event)
        units += event.units
    yield part
