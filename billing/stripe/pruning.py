"""Stripe's letters keep their words for some weeks, for staff to look at; then the ids stay, to read them again by."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.conf import settings

from billing.models import WebhookEvent

HELPING = 1000
# A turn stops here, well before Celery's soft time limit would stop it in the middle.
PRUNE_SECONDS = 45


def prune(*, now: datetime, days: int | None = None) -> int:
    """Strip the letters that came more than `days` ago (STRIPE_LETTER_DAYS) and are dealt with; answers how many.

    `now` is wall time. Letters that wait to be read keep theirs, however old. 0 days: all are kept. Safe twice and at
    any moment; what PRUNE_SECONDS do not suffice for is left to the next turn.
    """
    days = settings.STRIPE_LETTER_DAYS if days is None else days
    if not days:
        return 0
    started = time.monotonic()
    pruned = 0
    while time.monotonic() - started < PRUNE_SECONDS:
        old = WebhookEvent.objects.with_words(until=now - timedelta(days=days)).order_by("received_at")
        numbers = list(old.values_list("pk", flat=True)[:HELPING])
        WebhookEvent.objects.filter(pk__in=numbers).strip()
        pruned += len(numbers)
        if len(numbers) < HELPING:
            break
    return pruned
