"""What is set aside for work under way, in the books: put back, swept when its time is over, moved with its window.

Everything here belongs to the caller's transaction, which holds the queue of the account and feature. A sweep is owed
by whoever would otherwise be refused, so no job is needed and no balance counts what is overdue.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db.models import F, QuerySet, Sum

from accounts.models import Account
from billing import credits
from usage.models import Reservation, UsageCounter
from usage.periods import Period

State = Reservation.State


def sweep(account_id: uuid.UUID, feature: str, *, now: datetime) -> bool:
    """Put back whatever is overdue at `now` (the account's time); answers whether there was any."""
    overdue = Reservation.objects.overdue(now).filter(account_id=account_id, feature=feature)
    swept = False
    for reservation in overdue.select_for_update().order_by("pk"):
        put_back(reservation, state=State.EXPIRED, now=now)
        swept = True
    return swept


def put_back(reservation: Reservation, *, state: str, now: datetime) -> None:
    """Give what is set aside back to where it came from, and end the reservation as `state`."""
    take_out(reservation)
    if reservation.credited:
        credits.put_back(reservation_id=reservation.pk, now=now)
    reservation.state, reservation.ended_at = state, now
    reservation.save(update_fields=["state", "ended_at"])


def take_out(reservation: Reservation) -> None:
    """The window's counter holds these units no more; credits are the caller's."""
    _counter(reservation).update(
        reserved=F("reserved") - reservation.from_allowance,
        paid_reserved=F("paid_reserved") - reservation.billed,
    )


def follow(account: Account, feature: str, period: Period, *, now: datetime) -> None:
    """Move what is held in windows that overlap `period` into it: a change of plan has moved the anchor under them.

    Otherwise the same days would count twice: once as they are settled in the old window, once in the new one.
    """
    held = Reservation.objects.holding(now).filter(account=account, feature=feature)
    moved = held.filter(period_start__lt=period.end).exclude(period_start=period.start)
    for reservation in moved.select_for_update().order_by("pk"):
        overlaps = _counter(reservation).filter(period_end__gt=period.start).exists()
        if not overlaps:
            continue
        take_out(reservation)
        reservation.period_start = period.start
        reservation.save(update_fields=["period_start"])
        _counter(reservation).update(
            reserved=F("reserved") + reservation.from_allowance,
            paid_reserved=F("paid_reserved") + reservation.billed,
        )


def reserved(account: Account, feature: str, period: Period, *, now: datetime) -> tuple[int, int]:
    """Units held in the window at `now`: of its allowance, and of what may be paid for. Reads only."""
    held = Reservation.objects.holding(now).filter(
        account=account, feature=feature, period_start=period.start
    )
    sums = held.aggregate(units=Sum(F("units") - F("credited") - F("billed")), billed=Sum("billed"))
    return sums["units"] or 0, sums["billed"] or 0


def held_by(
    user_id: int, *, account_id: uuid.UUID, feature: str, period_start: datetime, now: datetime
) -> int:
    """Units one member holds in the window at `now`. Reads only."""
    held = Reservation.objects.holding(now).filter(
        account_id=account_id, feature=feature, period_start=period_start, user_id=user_id
    )
    return int(held.aggregate(units=Sum("units"))["units"] or 0)


def is_any_held(account: Account, feature: str) -> bool:
    """Whether units are set aside, overdue ones among them: then a refusal must look at them first."""
    return Reservation.objects.filter(account=account, feature=feature, state=State.HELD).exists()


def _counter(reservation: Reservation) -> QuerySet[UsageCounter]:
    return UsageCounter.objects.filter(
        account_id=reservation.account_id,
        feature=reservation.feature,
        period_start=reservation.period_start,
    )
