"""Staff are told of a delivery that nobody has billed, until it is decided."""

from __future__ import annotations

from datetime import datetime

import structlog

from billing import alerts, effects
from billing.models import Alert
from usage.models import MeterDelivery

log = structlog.get_logger(__name__)


def tell(delivery: MeterDelivery, state: str, why: str, *, now: datetime) -> None:
    """Refused, or for a person to decide; `now` is wall time."""
    kind = f"meter_delivery_{state}"
    message = f"{delivery.units:,} {delivery.event_name} of {delivery.account} were not billed. {why}"
    log.error(kind, identifier=delivery.identifier, message=message)
    alerts.raise_alert(
        key=_alert_key(delivery),
        kind=kind,
        message=message,
        account=delivery.account,
        now=now,
    )


def forget(delivery: MeterDelivery, *, now: datetime) -> None:
    """What the alert asked for has been done."""
    Alert.objects.filter(key=_alert_key(delivery), resolved_at=None).update(resolved_at=now)


def _alert_key(delivery: MeterDelivery) -> str:
    return effects.short_key(f"meter-delivery:{delivery.identifier}")
