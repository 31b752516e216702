"""The one place that changes what is left of a grant: with an entry that says why."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F

from accounts.models import User
from billing.models import CreditEntry, CreditGrant

Kind = CreditEntry.Kind


def move(
    grant: CreditGrant,
    kind: str,
    units: int,
    *,
    now: datetime,
    record_id: int | None = None,
    reservation_id: int | None = None,
    by: User | None = None,
    reason: str = "",
) -> None:
    """Change what is left, and say so. The grant is locked."""
    CreditGrant.objects.filter(pk=grant.pk).update(remaining=F("remaining") + units)
    grant.remaining += units
    note(
        grant, kind, units, now=now, record_id=record_id, reservation_id=reservation_id, by=by, reason=reason
    )


def note(
    grant: CreditGrant,
    kind: str,
    units: int,
    *,
    now: datetime,
    record_id: int | None = None,
    reservation_id: int | None = None,
    by: User | None = None,
    reason: str = "",
) -> None:
    CreditEntry.objects.create(
        grant=grant,
        kind=kind,
        units=units,
        usage_record_id=record_id,
        reservation_id=reservation_id,
        at=now,
        by=by,
        reason=reason,
    )
