"""Did it arrive? When a delivery's outcome has been unknown for too long, Stripe's total of its hour is asked."""

from __future__ import annotations

from django.db.models import Q

from usage.meters.totals import HOUR, Meters, NoMeter, hour_of
from usage.models import MeterDelivery


class Arrived(Exception):
    """Stripe's total shows that it did."""


def is_certainly_absent(delivery: MeterDelivery, customer_id: str) -> bool:
    """True when Stripe's total of that hour is without it; False when the total does not settle it.

    The total is compared with what certainly arrived in that hour: when it is that, nothing of what is in doubt did;
    when it is that and all in doubt together, everything did. Anything between is for a person.

    Raises Arrived, and the gateway's errors.
    """
    hour = hour_of(delivery.occurred_at)
    same_hour = MeterDelivery.objects.filter(
        account_id=delivery.account_id,
        event_name=delivery.event_name,
        occurred_at__gte=hour,
        occurred_at__lt=hour + HOUR,
    )
    is_there = Q(state=MeterDelivery.State.SENT) | Q(is_counted=True)
    arrived = same_hour.filter(is_there, stripe_customer_id__in=["", customer_id])
    in_doubt = same_hour.exclude(state=MeterDelivery.State.SENT).filter(unknown_since__isnull=False)
    certain = sum(arrived.values_list("units", flat=True))
    doubtful = sum(in_doubt.values_list("units", flat=True))
    try:
        at_stripe = Meters().total(
            event_name=delivery.event_name, customer_id=customer_id, start=hour, end=hour + HOUR
        )
    except NoMeter:
        return False
    if at_stripe == certain + doubtful:
        raise Arrived
    return at_stripe == certain
