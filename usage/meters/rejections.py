"""What Stripe took and then could not count: the deliveries it names are rejected after all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.stripe.meter_errors import MeterError
from usage.meters import fates
from usage.models import MeterDelivery


def apply(errors: Iterable[MeterError], *, now: datetime) -> int:
    """Reject the deliveries named; answers how many errors were about one of ours. Safe twice. `now` is wall time."""
    placed = 0
    for error in errors:
        delivery = MeterDelivery.objects.filter(identifier=error.identifier).first()
        if delivery is None:
            continue
        placed += 1
        fates.rejected_later(delivery, f"{error.code}: {error.message}", now=now)
    return placed
