"""How many letters were refused, by day and reason: all that an unsigned request may leave behind."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import date, datetime

from django.db.models import F

from billing.models import WebhookRejection

# In a flood a process writes no more often than this; what comes on top is added to its next write.
WRITES_PER_SECOND = 50

_lock = threading.Lock()
_held_back: Counter[str] = Counter()
_second = 0
_writes = 0


def count(*, reason: str, now: datetime) -> int | None:
    """One more letter refused for `reason`. Answers today's total; None while a flood is held back."""
    with _lock:
        _held_back[reason] += 1
        if not _may_write(int(now.timestamp())):
            return None
        refused = _held_back.pop(reason)
    return _add(day=now.date(), reason=reason, refused=refused)


def _may_write(second: int) -> bool:
    global _second, _writes
    if second != _second:
        _second, _writes = second, 0
    _writes += 1
    return _writes <= WRITES_PER_SECOND


def _add(*, day: date, reason: str, refused: int) -> int:
    row, created = WebhookRejection.objects.get_or_create(day=day, reason=reason, defaults={"count": refused})
    if not created:
        WebhookRejection.objects.filter(pk=row.pk).update(count=F("count") + refused)
    return row.count if created else row.count + refused
