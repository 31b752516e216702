"""Meter events that Stripe took and could not count: asked for by the id in a thin letter, told to the room above.

https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage#handle-meter-event-errors
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import alerts
from billing.models import WebhookEvent
from billing.signals import meter_errors_reported
from billing.stripe import gateway


@dataclass(frozen=True)
class MeterError:
    """One event that was not counted, by the identifier we gave it."""

    identifier: str
    code: str
    message: str


@dataclass(frozen=True)
class Report:
    """What Stripe says about some minutes. `errors` are examples; `count` is how many there were."""

    count: int
    errors: tuple[MeterError, ...]


def follow(letter: WebhookEvent, *, now: datetime) -> None:
    """Read the report, have it applied, and tell staff of what no delivery of ours answers for.

    Raises the gateway's errors.
    """
    try:
        report = _read(letter)
    except gateway.NotFound:
        _tell(letter, "an unknown number of events; Stripe keeps the report no more.", now=now)
        return
    answers: list[tuple[Any, Any]] = meter_errors_reported.send(MeterError, errors=report.errors, now=now)
    placed = sum(number for _, number in answers)
    if placed >= report.count:
        return
    said = "; ".join(dict.fromkeys(f"{error.code}: {error.message}" for error in report.errors))
    _tell(letter, f"{report.count:,} events; {placed:,} of them were found among ours. {said}", now=now)


def _read(letter: WebhookEvent) -> Report:
    """https://docs.stripe.com/api/v2/core/events/retrieve"""
    event = gateway.get(f"/v2/core/events/{letter.stripe_event_id}")
    reason = (event.get("data") or {}).get("reason") or {}
    return Report(count=reason.get("error_count") or 0, errors=tuple(_errors(reason)))


def _tell(letter: WebhookEvent, what: str, *, now: datetime) -> None:
    alerts.raise_alert(
        key=f"meter_error:{letter.stripe_event_id}",
        kind="meter_error",
        message=f"Stripe could not count usage reported to its meter {letter.object_id or '(unknown)'}: {what} "
        f"({letter.type}, event {letter.stripe_event_id}.) `manage.py reconcile_usage` finds what is missing.",
        now=now,
    )


def _errors(reason: dict[str, Any]) -> Iterator[MeterError]:
    for kind in reason.get("error_types") or []:
        for sample in kind.get("sample_errors") or []:
            identifier = (sample.get("request") or {}).get("identifier") or ""
            yield MeterError(identifier, kind.get("code") or "", sample.get("error_message") or "")
