"""What becomes of a delivery: arrived, later, refused, or in a person's hands."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import structlog

from billing import alerts
from billing.backoff import delay
from billing.models import Customer
from billing.stripe import gateway
from usage.meters import telling, writing_off
from usage.models import MeterDelivery
from usage.models.meters import MeterDeliveryQuerySet

log = structlog.get_logger(__name__)

# An invoice is a draft for an hour, so nothing waits for longer than a fraction of that.
LONGEST_PAUSE = timedelta(minutes=10)
MOST_ATTEMPTS_WITHOUT_CUSTOMER = 15
CLOSED_DOOR = "meter-deliveries-not-taken"

State = MeterDelivery.State


def sent(delivery: MeterDelivery, *, now: datetime, stripe_customer_id: str = "") -> None:
    """Stripe has it, whoever found that out: also a sender that was overtaken."""
    known = {"stripe_customer_id": stripe_customer_id} if stripe_customer_id else {}
    _close(
        MeterDelivery.objects.waiting().filter(pk=delivery.pk),
        State.SENT,
        sent_at=now,
        last_error="",
        **known,
    )


def certainly_absent(delivery: MeterDelivery, *, now: datetime) -> None:
    """Nothing sent so far has arrived; the try that now begins is the first in doubt."""
    delivery.unknown_since = None
    _ours(delivery).update(unknown_since=now)


def later(delivery: MeterDelivery, why: str, *, now: datetime, is_unsent: bool) -> None:
    """Try again after a pause. `is_unsent`: this try certainly did not arrive, so it puts nothing in doubt."""
    # Never all at the same moment: `delay` has chance in it, the longest pause gets some.
    pause = min(delay(delivery.attempts + 1), LONGEST_PAUSE * random.uniform(0.5, 1.0))
    _put_off(delivery, why, now=now, pause=pause, is_unsent=is_unsent)


def without_customer(delivery: MeterDelivery, customer: Customer | None, *, now: datetime) -> None:
    """There is nobody at Stripe to bill it to: perhaps not yet, perhaps not any more."""
    if customer is not None and customer.former_stripe_ids:
        rejected(delivery, "The customer was deleted at Stripe before this was sent.", now=now)
    elif delivery.attempts + 1 >= MOST_ATTEMPTS_WITHOUT_CUSTOMER:
        review(delivery, "The account has no customer at Stripe to bill it to.", now=now)
    else:
        pause = delay(delivery.attempts + 1)
        why = "The account has no customer at Stripe yet."
        _put_off(delivery, why, now=now, pause=pause, is_unsent=True)


def rejected(delivery: MeterDelivery, why: str, *, now: datetime) -> None:
    """Stripe has refused it, and would again."""
    _give_up(delivery, State.REJECTED, why, now=now)


def rejected_later(delivery: MeterDelivery, why: str, *, now: datetime) -> None:
    """Stripe took it and could not count it after all. What a person has seen to meanwhile stays seen to."""
    open_still = MeterDelivery.objects.filter(
        pk=delivery.pk, state__in=[State.WAITING, State.SENT, State.REVIEW]
    )
    if _close(open_still, State.REJECTED, last_error=why[:500], unknown_since=None):
        _tell(delivery, State.REJECTED, why, now=now)


def found_missing(delivery: MeterDelivery, *, now: datetime) -> None:
    """It counts as sent, and Stripe's sum is without it."""
    why = "It was sent, and Stripe's meter does not have it. Send it again, or bill it by an invoice item."
    if _close(
        MeterDelivery.objects.filter(pk=delivery.pk, state=State.SENT),
        State.REVIEW,
        last_error=why,
        unknown_since=None,
    ):
        _tell(delivery, State.REVIEW, why, now=now)


def uninvoiced(delivery: MeterDelivery, *, now: datetime) -> None:
    """Stripe's meter has it, and the plan was ended without a last invoice."""
    why = "Its plan was ended at Stripe, and no invoice has it; bill it by an invoice item."
    if _close(
        MeterDelivery.objects.filter(pk=delivery.pk, state=State.SENT),
        State.REVIEW,
        last_error=why,
        unknown_since=None,
        is_counted=True,
    ):
        _tell(delivery, State.REVIEW, why, now=now)


def review(delivery: MeterDelivery, why: str, *, now: datetime) -> None:
    """A person decides."""
    _give_up(delivery, State.REVIEW, why, now=now)


def waived(delivery: MeterDelivery) -> None:
    """Nobody is to pay for it: no person need decide what has been decided with the plan."""
    why = (
        "Not billed: the plan it was used on was ended by us without a last invoice, as its money went back."
    )
    _close(_ours(delivery), State.SETTLED, last_error=why, unknown_since=None)


def tell_of_closed_door(error: gateway.StripeError, *, now: datetime) -> None:
    """Stripe takes nothing from us at all, which no waiting will mend."""
    message = f"Stripe does not take metered units: {error}"
    log.error("meter_deliveries_not_taken", message=message)
    alerts.raise_alert(key=CLOSED_DOOR, kind="meter_deliveries_not_taken", message=message, now=now)


def _put_off(delivery: MeterDelivery, why: str, *, now: datetime, pause: timedelta, is_unsent: bool) -> None:
    log.warning(
        "meter_delivery_not_sent", identifier=delivery.identifier, attempts=delivery.attempts + 1, error=why
    )
    changes: dict[str, Any] = {"next_attempt_at": now + pause, "last_error": why[:500], "is_in_flight": False}
    if is_unsent:
        changes["unknown_since"] = delivery.unknown_since
    _ours(delivery).update(**changes)


def _give_up(delivery: MeterDelivery, state: str, why: str, *, now: datetime) -> None:
    if not _close(_ours(delivery), state, last_error=why[:500], unknown_since=delivery.unknown_since):
        return  # overtaken by another sender, who knows better by now
    _tell(delivery, state, why, now=now)


def _tell(delivery: MeterDelivery, state: str, why: str, *, now: datetime) -> None:
    if writing_off.is_due(delivery):
        writing_off.of_account(delivery.account, now=now)
    else:
        telling.tell(delivery, state, why, now=now)


def _ours(delivery: MeterDelivery) -> MeterDeliveryQuerySet:
    """The row while our claim holds: the number of tries is its token."""
    return MeterDelivery.objects.waiting().filter(pk=delivery.pk, attempts=delivery.attempts + 1)


def _close(rows: MeterDeliveryQuerySet, state: str, **facts: Any) -> bool:
    return rows.update(state=state, is_in_flight=False, **facts) == 1
