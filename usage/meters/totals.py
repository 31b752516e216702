"""What Stripe's meters have added up for a customer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from billing.stripe import gateway

HOUR = timedelta(hours=1)
METERS = "/v1/billing/meters"
MOST_METERS = 1000
MOST_HOURS = 2000


class NoMeter(Exception):
    """Stripe has no meter of this event name."""


class Meters:
    """Stripe's meters, looked up once and asked often. Its questions raise NoMeter and the gateway's errors."""

    def __init__(self) -> None:
        self._ids: dict[str, str] | None = None

    def total(self, *, event_name: str, customer_id: str, start: datetime, end: datetime) -> int:
        """Units Stripe has for the customer in `[start, end)`, both at whole minutes.

        https://docs.stripe.com/api/billing/meter-event-summary/list
        """
        if start >= end:
            return 0
        summaries = gateway.get(self._path(event_name), _range(customer_id, start, end))
        return sum(round(summary["aggregated_value"]) for summary in summaries["data"])

    def by_hour(
        self, *, event_name: str, customer_id: str, start: datetime, end: datetime
    ) -> dict[datetime, int]:
        """Units by the hour they are counted in, empty hours left out; `start` and `end` at whole hours."""
        if start >= end:
            return {}
        asked = {**_range(customer_id, start, end), "value_grouping_window": "hour"}
        return {
            datetime.fromtimestamp(summary["start_time"], UTC): round(summary["aggregated_value"])
            for summary in gateway.pages(self._path(event_name), asked, at_most=MOST_HOURS)
        }

    def _path(self, event_name: str) -> str:
        if self._ids is None:
            meters = list(gateway.pages(METERS, at_most=MOST_METERS))
            # Of several with one name the active one counts; deactivated ones keep theirs.
            meters.sort(key=lambda meter: meter["status"] == "active")
            self._ids = {meter["event_name"]: meter["id"] for meter in meters}
        if event_name not in self._ids:
            raise NoMeter(f"Stripe has no meter with the event name {event_name!r}. Push the price list.")
        return f"{METERS}/{self._ids[event_name]}/event_summaries"


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _range(customer_id: str, start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "customer": customer_id,
        "start_time": int(start.timestamp()),
        "end_time": int(end.timestamp()),
    }
