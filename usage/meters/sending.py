"""Deliveries are brought to Stripe's meters, each until its fate is known, by any number of senders at once.

Stripe adds an event up once per identifier within 24 hours, so a delivery whose outcome is unknown is sent again under
the same identifier until then; after that Stripe's total is asked first. It takes events up to 35 days old.
https://docs.stripe.com/api/billing/meter-event/create
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Coalesce

from accounts.models import Account
from billing.models import Customer
from billing.stripe import gateway
from usage.meters import doubts, fates, freezing, periods
from usage.models import MeterDelivery, MeterEvent
from usage.models.meters import MeterDeliveryQuerySet

OLDEST = timedelta(days=35)
NEWEST = timedelta(minutes=5)
# Stripe promises at least 24 hours; the last hour is left to clocks that differ and calls that take their time.
SAME_IDENTIFIER = timedelta(hours=23)
# A sender takes no more after this, well before Celery's soft time limit would stop it in the middle.
DELIVER_SECONDS = 45
# Somebody is waiting for a flush.
FLUSH_SECONDS = 8.0
# Deliveries claimed at a time; few, so that many senders share what is due.
HELPING = 50
# Who claimed a delivery and has not come back by then is taken for dead.
CLAIM = timedelta(minutes=2)
PAUSE_SECONDS = 0.05


def deliver(*, now: datetime, limit: int | None = None, seconds: float = DELIVER_SECONDS) -> int:
    """Send what is due, until nothing is due or `seconds` are over; answers how many deliveries arrived.

    `now` is wall time at the start; `limit` ends it after so many. Several senders may run at once: each takes rows
    no other has, and only one has a customer's deliveries of a meter. A sender killed between Stripe's answer and ours
    sends again under the same identifier, and Stripe's word that it has the event already counts as arrived. While the
    line to Stripe rests (`gateway.is_resting`) nothing is tried.
    """
    started = time.monotonic()
    arrived = taken = 0
    while (limit is None or taken < limit) and not gateway.is_resting():
        elapsed = time.monotonic() - started
        if elapsed >= seconds:
            break
        moment = now + timedelta(seconds=elapsed)
        made = freezing.freeze(now=moment)
        wanted = HELPING if limit is None else min(HELPING, limit - taken)
        claimed = _claim(MeterDelivery.objects.due(moment), now=moment, limit=wanted)
        if not claimed and not made:
            break
        for number, delivery in enumerate(claimed):
            elapsed = time.monotonic() - started
            if elapsed >= seconds:
                _put_back(claimed[number:])
                break
            arrived += _send(delivery, now=now + timedelta(seconds=elapsed))
        taken += len(claimed)
    return arrived


def is_crowded(*, now: datetime) -> bool:
    """Is more due than one sender takes at a time?"""
    return MeterDelivery.objects.due(now).filter(is_in_flight=False)[HELPING : HELPING + 1].exists()


def flush(*, account: Account, now: datetime, seconds: float = FLUSH_SECONDS) -> int:
    """Send all that waits of one account, also what was to be tried later; answers the units that still wait.

    Each delivery is tried once, and what another sender has is waited for, `seconds` at most. `now` is wall time.
    """
    started = time.monotonic()
    tried: set[int] = set()
    while waits(account):
        moment = now + timedelta(seconds=time.monotonic() - started)
        freezing.freeze(now=moment, account=account)
        own = MeterDelivery.objects.waiting().filter(account=account).exclude(pk__in=tried)
        claimed = _claim(own, now=moment, limit=HELPING)
        for delivery in claimed:
            tried.add(delivery.pk)
            _send(delivery, now=now + timedelta(seconds=time.monotonic() - started))
        if gateway.is_resting() or time.monotonic() - started >= seconds or not _is_more(account, tried):
            break
        if not claimed:
            time.sleep(PAUSE_SECONDS)
    return waits(account)


def waits(account: Account) -> int:
    """Units of an account that are still to be sent."""
    units = 0
    for rows in (
        MeterEvent.objects.filter(account=account, state=MeterEvent.State.WAITING),
        MeterDelivery.objects.waiting().filter(account=account),
    ):
        units += sum(rows.values_list("units", flat=True))
    return units


def _is_more(account: Account, tried: Collection[int]) -> bool:
    """Whether something waits that this flush has not tried; acts behind a failed delivery wait for that one."""
    failed = MeterDelivery.objects.waiting().filter(account=account, pk__in=tried)
    return (
        MeterDelivery.objects.waiting().filter(account=account).exclude(pk__in=tried).exists()
        or MeterEvent.objects.filter(account=account, state=MeterEvent.State.WAITING)
        .exclude(event_name__in=failed.values("event_name"))
        .exists()
    )


def _claim(rows: MeterDeliveryQuerySet, *, now: datetime, limit: int) -> list[MeterDelivery]:
    """Take the oldest of `rows` of each customer and meter of which nobody has one; answers them as they were.

    One whose sender has not come back is taken over.
    """
    same = MeterDelivery.objects.filter(account_id=OuterRef("account_id"), event_name=OuterRef("event_name"))
    abandoned = rows.filter(is_in_flight=True, next_attempt_at__lte=now)
    free = rows.filter(~Exists(same.filter(is_in_flight=True)), is_in_flight=False)
    heads = free.filter(~Exists(_same_lane(free).filter(pk__lt=OuterRef("pk"))))
    claimed: list[MeterDelivery] = []
    try:
        with transaction.atomic():
            for candidates in (abandoned, heads):
                claimed += candidates.select_for_update(
                    skip_locked=connection.features.has_select_for_update_skip_locked, of=("self",)
                ).order_by("next_attempt_at", "id")[: limit - len(claimed)]
            MeterDelivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
                is_in_flight=True,
                attempts=F("attempts") + 1,
                next_attempt_at=now + CLAIM,
                unknown_since=Coalesce("unknown_since", now),
            )
    except IntegrityError:
        # Somebody took another delivery of the same customer and meter at this very moment.
        return []
    return claimed


def _same_lane(rows: MeterDeliveryQuerySet) -> MeterDeliveryQuerySet:
    return rows.filter(account_id=OuterRef("account_id"), event_name=OuterRef("event_name"))


def _put_back(deliveries: list[MeterDelivery]) -> None:
    """Claimed and not tried: as they were, for the next sender at once."""
    for delivery in deliveries:
        MeterDelivery.objects.waiting().filter(pk=delivery.pk, attempts=delivery.attempts + 1).update(
            attempts=delivery.attempts,
            is_in_flight=False,
            next_attempt_at=delivery.next_attempt_at,
            unknown_since=delivery.unknown_since,
        )


def _send(delivery: MeterDelivery, *, now: datetime) -> bool:
    """True when Stripe has it. `delivery` is the row as it was before this claim."""
    customer = Customer.objects.filter(account_id=delivery.account_id).first()
    account_now = customer.clock_now if customer and customer.clock_now else now
    if customer is None or not customer.stripe_customer_id:
        fates.without_customer(delivery, customer, now=now)
        return False
    customer_id = customer.stripe_customer_id
    try:
        if not _is_to_be_sent(delivery, customer_id, account_now=account_now, now=now):
            return False
        _post(delivery, customer_id)
    except doubts.Arrived:
        fates.sent(delivery, now=now)
        return True
    except gateway.InvalidRequest as error:
        if not _has_it_already(error):
            _refused(delivery, error, now=now)
            return False
    except gateway.StripeUnavailable as error:
        fates.later(delivery, str(error), now=now, is_unsent=not error.outcome_unknown)
        return False
    except gateway.StripeError as error:
        # A wrong key or mode: nothing of it is this delivery's fault, and it waits for a person to mend that.
        fates.later(delivery, str(error), now=now, is_unsent=True)
        fates.tell_of_closed_door(error, now=now)
        return False
    fates.sent(delivery, now=now, stripe_customer_id=customer_id)
    return True


def _is_to_be_sent(
    delivery: MeterDelivery, customer_id: str, *, account_now: datetime, now: datetime
) -> bool:
    """Whether to send it now; if not, its fate is written. Raises doubts.Arrived and the gateway's errors."""
    invoiced_at = periods.invoiced_at(delivery.account_id, delivery.occurred_at)
    is_too_old = account_now - delivery.occurred_at >= OLDEST
    is_too_late = invoiced_at is not None and account_now > invoiced_at
    if (is_too_old or is_too_late) and periods.is_waived(delivery.account_id, delivery.occurred_at):
        fates.waived(delivery)
        return False
    unknown_for = now - delivery.unknown_since if delivery.unknown_since else timedelta()
    if delivery.unknown_since and (unknown_for > SAME_IDENTIFIER or is_too_old or is_too_late):
        if not doubts.is_certainly_absent(delivery, customer_id):
            fates.review(
                delivery,
                "Whether it arrived has been unknown for too long, and Stripe's total does not say; compare it.",
                now=now,
            )
            return False
        fates.certainly_absent(delivery, now=now)
    if is_too_old:
        fates.review(
            delivery, "It is older than the 35 days Stripe takes; bill it by an invoice item.", now=now
        )
    elif is_too_late:
        fates.review(
            delivery, "The invoice of its period was made without it; bill it by an invoice item.", now=now
        )
    elif delivery.occurred_at - account_now > NEWEST:
        fates.later(delivery, "It is ahead of the clock.", now=now, is_unsent=True)
    else:
        return True
    return False


def _post(delivery: MeterDelivery, customer_id: str) -> None:
    gateway.post(
        "/v1/billing/meter_events",
        {
            "event_name": delivery.event_name,
            "identifier": delivery.identifier,
            "timestamp": int(delivery.occurred_at.timestamp()),
            "payload": {"stripe_customer_id": customer_id, "value": str(delivery.units)},
        },
        # The identifier keeps it single; a key for each try gets past an error that Stripe has saved.
        idempotency_key=f"meter:{delivery.identifier}:{delivery.attempts}",
    )


def _has_it_already(error: gateway.InvalidRequest) -> bool:
    return error.code == "duplicate_meter_event" or "already exists with identifier" in error.message


def _refused(delivery: MeterDelivery, error: gateway.InvalidRequest, *, now: datetime) -> None:
    if error.code == "timestamp_in_future":
        fates.later(delivery, error.message, now=now, is_unsent=True)
    elif error.code == "timestamp_too_far_in_past":
        fates.review(delivery, error.message, now=now)
    else:
        fates.rejected(delivery, error.message, now=now)
