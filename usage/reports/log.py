"""The event log: an account's own acts, newest first, as far as somebody may see them and wants to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import QuerySet

from accounts.models import Account, User
from usage.models import UsageRecord

# Rows read at a time by an export, and its end: a spreadsheet takes no more.
HELPING = 2000
MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Wanted:
    """What is looked for; None or "" is everything. `day` is a UTC day."""

    feature: str = ""
    day: date | None = None
    user_id: int | None = None
    key_id: int | None = None


def acts(account: Account, wanted: Wanted, *, only: User | None = None) -> QuerySet[UsageRecord]:
    """The acts of `account` that are wanted, newest first; with `only`, those of that member alone."""
    found = UsageRecord.objects.filter(account=account)
    if only is not None:
        found = found.filter(user=only)
    if wanted.feature:
        found = found.filter(feature=wanted.feature)
    if wanted.day is not None:
        start = datetime.combine(wanted.day, time(), tzinfo=UTC)
        found = found.filter(recorded_at__gte=start, recorded_at__lt=start + timedelta(days=1))
    if wanted.user_id is not None:
        found = found.filter(user_id=wanted.user_id)
    if wanted.key_id is not None:
        found = found.filter(api_key_id=wanted.key_id)
    return found.order_by("-id")


def each(found: QuerySet[UsageRecord]) -> Iterator[UsageRecord]:
    """One act after the other without ever holding many: by their ids, so that no page is skipped or repeated."""
    below: int | None = None
    for _ in range(MOST_ROWS // HELPING):
        page = found if below is None else found.filter(pk__lt=below)
        rows = list(page.select_related("user", "api_key")[:HELPING])
        yield from rows
        if len(rows) < HELPING:
            return
        below = rows[-1].pk
