"""Nothing arrives at Stripe although units wait: no usage and no delivery must not look alike."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max, Min

from billing import alerts
from billing.models import Alert
from usage.models import MeterDelivery, MeterEvent

LONGEST = timedelta(minutes=15)
KEY = "meter-deliveries-silent"


def look(*, now: datetime) -> bool:
    """Raise the alert when units have waited for a quarter of an hour in which not one delivery arrived; `now` is wall
    time. Resolves it when deliveries arrive again. Answers whether it is silent.

    Accounts on test clocks are left out: their acts are of another time.
    """
    since = _waiting_since()
    last = MeterDelivery.objects.aggregate(at=Max("sent_at"))["at"]
    is_silent = since is not None and now - max(since, last or since) >= LONGEST
    if not is_silent:
        Alert.objects.filter(key=KEY, resolved_at=None).update(resolved_at=now)
        return False
    assert since is not None
    alerts.raise_alert(
        key=KEY,
        kind="meter_deliveries_silent",
        message=f"Metered units wait since {since:%Y-%m-%d %H:%M} UTC and nothing has arrived at Stripe's meters for "
        "fifteen minutes. See whether worker and beat run, and what the deliveries' last errors say.",
        now=now,
    )
    return True


def _waiting_since() -> datetime | None:
    in_everybodys_time = {"account__customer__clock_now": None}
    events = MeterEvent.objects.filter(state=MeterEvent.State.WAITING, **in_everybodys_time)
    deliveries = MeterDelivery.objects.waiting().filter(**in_everybodys_time)
    moments = [
        events.aggregate(at=Min("occurred_at"))["at"],
        deliveries.aggregate(at=Min("frozen_at"))["at"],
    ]
    return min((moment for moment in moments if moment is not None), default=None)
