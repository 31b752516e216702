"""What is owed leaves the building: claimed row by row, tried again on a schedule, given up at its end.

The schedule is the one Standard Webhooks recommends:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#retry-schedule
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F

from accounts.models import Delivery, Destination
from accounts.notifications import destinations, mail, slack, webhooks
from accounts.notifications.signals import given_up
from config import nudge
from config.logs import SECRET

log = structlog.get_logger(__name__)

# Seconds to wait after the first, second, … failure. After the last one nothing more is tried by itself.
SCHEDULE = (5, 60, 300, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
# A carrier that has not come back by then is taken for dead, and another may try.
CARRY_SECONDS = 120
# A run stops here, well before Celery's soft time limit would stop it in the middle.
RUN_SECONDS = 45
HELPING = 20

_CARRIERS: dict[str, Callable[[Delivery, datetime], None]] = {
    Delivery.Channel.MAIL: mail.carry,
    Delivery.Channel.SLACK: slack.carry,
    Delivery.Channel.WEBHOOK: webhooks.carry,
}


def deliver_due(*, now: datetime) -> int:
    """Carry out what is due at `now` (wall time), for at most RUN_SECONDS; answers how many were delivered.

    Each is claimed by moving its next attempt beyond the time a carrier may take, so two workers do not carry the
    same one. A carrier killed between the sending and the row's update sends again: no outbox can do better, and
    what it sends carries the same Message-ID or webhook-id both times.
    """
    started = time.monotonic()
    delivered = 0
    while claimed := _claim(now=now):
        for delivery in claimed:
            delivered += _carry(delivery, now=now)
        if time.monotonic() - started > RUN_SECONDS:
            break
    return delivered


def again(delivery: Delivery, *, now: datetime) -> None:
    """Owe it once more, from the start of the schedule: the button “Send again”; never what was no longer so before it
    left. `now` is wall time.
    """
    Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.OVERTAKEN).update(
        state=Delivery.State.WAITING, attempts=0, next_attempt_at=now, last_error=""
    )


def hurry(destination: Destination, *, now: datetime) -> None:
    """Let what waits for this destination leave now: it was switched on again."""
    Delivery.objects.filter(destination=destination, state=Delivery.State.WAITING).update(
        attempts=0, next_attempt_at=now
    )
    nudge.workers(nudge.DELIVER_NOTIFICATIONS)


def _claim(*, now: datetime) -> list[Delivery]:
    with transaction.atomic():
        claimed = list(
            Delivery.objects.due(now)
            .select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked,
                of=("self",) if connection.features.has_select_for_update_of else (),
            )
            .select_related("notification__account", "destination", "user")
            # Mail first: a server that does not answer must not keep people waiting for their letters.
            .order_by("channel", "next_attempt_at")[:HELPING]
        )
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            attempts=F("attempts") + 1, next_attempt_at=now + timedelta(seconds=CARRY_SECONDS)
        )
    for delivery in claimed:
        delivery.attempts += 1
    return claimed


def _carry(delivery: Delivery, *, now: datetime) -> bool:
    if not _is_still_owed(delivery):
        return False
    try:
        _CARRIERS[delivery.channel](delivery, now)
    except Exception as error:  # whatever the carrier raises is this delivery's own trouble
        _failed(delivery, error, now=now)
        return False
    Delivery.objects.filter(pk=delivery.pk).update(
        state=Delivery.State.DELIVERED, delivered_at=now, last_error=""
    )
    if delivery.destination is not None:
        destinations.note_success(delivery.destination)
    return True


def _is_still_owed(delivery: Delivery) -> bool:
    """Those claimed with it may have taken a while: it may be no longer so by now, or claimed by another."""
    return Delivery.objects.filter(
        pk=delivery.pk, state=Delivery.State.WAITING, attempts=delivery.attempts
    ).exists()


def _failed(delivery: Delivery, error: Exception, *, now: datetime) -> None:
    explanation = SECRET.sub("[secret]", f"{type(error).__name__}: {error}")[:300]
    is_last = delivery.attempts > len(SCHEDULE)
    retry_at = now + _delay(delivery.attempts)
    # What is no longer so by now is not tried again.
    Delivery.objects.filter(pk=delivery.pk).exclude(state=Delivery.State.OVERTAKEN).update(
        last_error=explanation,
        next_attempt_at=retry_at,
        state=Delivery.State.GIVEN_UP if is_last else Delivery.State.WAITING,
    )
    log.warning(
        "notification_not_delivered",
        key=delivery.notification.key,
        channel=delivery.channel,
        attempts=delivery.attempts,
        error=explanation,
    )
    if delivery.destination is not None:
        destinations.note_failure(delivery.destination, error, retry_at=retry_at, now=now)
    if is_last:
        given_up.send(sender=Delivery, delivery=delivery, explanation=explanation, now=now)


def _delay(attempts: int) -> timedelta:
    """Between half and all of the schedule's step, by chance, so that failures do not come back together."""
    return timedelta(seconds=SCHEDULE[min(attempts, len(SCHEDULE)) - 1] * random.uniform(0.5, 1.0))
