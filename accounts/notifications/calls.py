"""One call to a destination, and its line in the log that owners and admins see."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Delivery, DeliveryAttempt
from accounts.notifications import outgoing


def log_and_post(
    delivery: Delivery, *, url: str, body: bytes, headers: dict[str, str], now: datetime
) -> None:
    """Raises outgoing.NotAllowed, outgoing.NotReached; the log has it either way."""
    try:
        answer = outgoing.post(url, body=body, headers=headers)
    except outgoing.NotReached as error:
        _log(delivery, error.status_code, str(error), error.milliseconds, now)
        raise
    except outgoing.NotAllowed as error:
        _log(delivery, None, str(error), 0, now)
        raise
    _log(delivery, answer.status_code, "", answer.milliseconds, now)


def _log(delivery: Delivery, status: int | None, error: str, milliseconds: int, now: datetime) -> None:
    DeliveryAttempt.objects.create(
        delivery=delivery, at=now, status_code=status, error=error[:300], milliseconds=milliseconds
    )
