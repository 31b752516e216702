"""The outbox to Stripe's meters: every metered act arrives there once, under the time it happened at.

Stripe adds an event up once per identifier within 24 hours, so an event whose outcome is unknown is sent again under
the same identifier until then, and looked at by a person after. It takes events up to 35 days old.
https://docs.stripe.com/api/billing/meter-event/create
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from billing import alerts
from billing.backoff import delay
from billing.models import Customer
from billing.stripe import gateway
from usage.models import MeterEvent

log = structlog.get_logger(__name__)

OLDEST = timedelta(days=35)
NEWEST = timedelta(minutes=5)
# Stripe promises at least 24 hours; the last hour is left to clocks that differ and calls that take their time.
SAME_IDENTIFIER = timedelta(hours=23)
# A delivery sends no more after this, well before Celery's soft time limit would stop it in the middle.
DELIVER_SECONDS = 45
# Events claimed at a time; few, so that many senders share what is due.
HELPING = 100
# Who claimed an event and has not come back by then is taken for dead.
CLAIM = timedelta(minutes=2)
MOST_ATTEMPTS_WITHOUT_CUSTOMER = 15

State = MeterEvent.State


def deliver(*, now: datetime, limit: int | None = None, seconds: float = DELIVER_SECONDS) -> int:
    """Send what is due, oldest first, until nothing is due or `seconds` are over; answers how many arrived.

    `now` is wall time at the start; `limit` ends it after so many. Several senders may run at once: each takes rows
    no other has. A sender killed between Stripe's answer and ours sends again under the same identifier, and Stripe's
    word that it has the event already counts as arrived.
    """
    started = time.monotonic()
    arrived = taken = 0
    while limit is None or taken < limit:
        helping = HELPING if limit is None else min(HELPING, limit - taken)
        claimed = _claim(now=now + timedelta(seconds=time.monotonic() - started), limit=helping)
        for number, event in enumerate(claimed):
            elapsed = time.monotonic() - started
            if elapsed >= seconds:
                _put_back(claimed[number:])
                return arrived
            arrived += _send(event, now=now + timedelta(seconds=elapsed))
        taken += len(claimed)
        if len(claimed) < helping:
            break
    return arrived


def send_again(event: MeterEvent, *, now: datetime) -> None:
    """A person has looked and wants it sent: back into the outbox, as if never tried."""
    MeterEvent.objects.filter(pk=event.pk).exclude(state=State.SENT).update(
        state=State.WAITING, first_sent_at=None, next_attempt_at=now, attempts=0
    )


def _claim(*, now: datetime, limit: int) -> list[MeterEvent]:
    with transaction.atomic():
        due = list(
            MeterEvent.objects.select_for_update(
                skip_locked=connection.features.has_select_for_update_skip_locked, of=("self",)
            )
            .filter(state=State.WAITING, next_attempt_at__lte=now)
            .order_by("id")[:limit]
        )
        MeterEvent.objects.filter(pk__in=[event.pk for event in due]).update(
            attempts=F("attempts") + 1,
            next_attempt_at=now + CLAIM,
            first_sent_at=Coalesce("first_sent_at", now),
        )
    return due


def _put_back(events: list[MeterEvent]) -> None:
    """Claimed and not tried: as they were, for the next sender at once."""
    for event in events:
        MeterEvent.objects.filter(pk=event.pk, state=State.WAITING, attempts=event.attempts + 1).update(
            attempts=event.attempts, next_attempt_at=event.next_attempt_at, first_sent_at=event.first_sent_at
        )


def _send(event: MeterEvent, *, now: datetime) -> bool:
    """True when Stripe has it. `event` is the row as it was before this claim."""
    customer = Customer.objects.filter(account_id=event.account_id).first()
    account_now = customer.clock_now if customer and customer.clock_now else now
    if event.first_sent_at is not None and now - event.first_sent_at > SAME_IDENTIFIER:
        _give_to_a_person(
            event, "Whether it arrived has been unknown for a day; compare Stripe's total.", now=now
        )
        return False
    if account_now - event.occurred_at >= OLDEST:
        _give_to_a_person(
            event, "It is older than the 35 days Stripe takes; bill it by an invoice item.", now=now
        )
        return False
    if event.occurred_at - account_now > NEWEST:
        _later(event, "It is ahead of the clock.", now=now, is_unsent=True)
        return False

    if customer is None or not customer.stripe_customer_id:
        _without_customer(event, customer, now=now)
        return False
    try:
        gateway.post(
            "/v1/billing/meter_events",
            {
                "event_name": event.event_name,
                "identifier": event.identifier,
                "timestamp": int(event.occurred_at.timestamp()),
                "payload": {"stripe_customer_id": customer.stripe_customer_id, "value": str(event.units)},
            },
            # The identifier keeps it single; a key for each try gets past an error that Stripe has saved.
            idempotency_key=f"meter:{event.identifier}:{event.attempts}",
        )
    except gateway.InvalidRequest as error:
        if not _has_it_already(error):
            _refused(event, error, now=now)
            return False
    except gateway.StripeUnavailable as error:
        _later(event, str(error), now=now, is_unsent=not error.outcome_unknown)
        return False
    except gateway.StripeError as error:
        # A wrong key or mode: nothing of it is this event's fault, and it waits for a person to mend that.
        _later(event, str(error), now=now, is_unsent=True)
        _alert(
            "meter_events_not_sent",
            "meter-events-not-sent",
            f"Meter events are not taken: {error}",
            event,
            now,
        )
        return False
    MeterEvent.objects.filter(pk=event.pk).update(state=State.SENT, sent_at=now, last_error="")
    return True


def _without_customer(event: MeterEvent, customer: Customer | None, *, now: datetime) -> None:
    if customer is not None and customer.former_stripe_ids:
        _close(event, State.REJECTED, "The customer was deleted at Stripe before this was sent.", now=now)
    elif event.attempts + 1 >= MOST_ATTEMPTS_WITHOUT_CUSTOMER:
        _give_to_a_person(event, "The account has no customer at Stripe to bill it to.", now=now)
    else:
        _later(event, "The account has no customer at Stripe yet.", now=now, is_unsent=True)


def _has_it_already(error: gateway.InvalidRequest) -> bool:
    return error.code == "duplicate_meter_event" or "already exists with identifier" in error.message


def _refused(event: MeterEvent, error: gateway.InvalidRequest, *, now: datetime) -> None:
    if error.code == "timestamp_too_far_in_past":
        _give_to_a_person(event, error.message, now=now)
    else:
        _close(event, State.REJECTED, error.message, now=now)


def _give_to_a_person(event: MeterEvent, why: str, *, now: datetime) -> None:
    _close(event, State.REVIEW, why, now=now)


def _close(event: MeterEvent, state: str, why: str, *, now: datetime) -> None:
    MeterEvent.objects.filter(pk=event.pk).update(state=state, last_error=why[:500])
    _alert(
        f"meter_event_{state}",
        f"meter-event:{event.identifier}",
        f"{event.units:,} {event.event_name} of {event.account} were not billed. {why}",
        event,
        now,
    )


def _alert(kind: str, key: str, message: str, event: MeterEvent, now: datetime) -> None:
    log.error(kind, identifier=event.identifier, message=message)
    alerts.raise_alert(key=key, kind=kind, message=message, account=event.account, now=now)


def _later(event: MeterEvent, why: str, *, now: datetime, is_unsent: bool) -> None:
    """`is_unsent`: this try certainly did not arrive, so it does not start the day of the same identifier."""
    log.warning("meter_event_not_sent", identifier=event.identifier, attempts=event.attempts + 1, error=why)
    MeterEvent.objects.filter(pk=event.pk).update(
        next_attempt_at=now + delay(event.attempts + 1),
        last_error=why[:500],
        **({"first_sent_at": event.first_sent_at} if is_unsent else {}),
    )
