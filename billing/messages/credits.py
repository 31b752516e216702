"""What is told of credits: that staff gave some, and that bought or given ones end soon."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.notifications import notify
from billing import catalog, money
from billing.messages.words import iso
from billing.models import CreditGrant

log = structlog.get_logger(__name__)

AHEAD = timedelta(days=7)
# Credits of a shorter life, such as what is forgiven in a window, are not announced to end.
SHORT_LIFE = timedelta(days=14)


def given(grant: CreditGrant, *, now: datetime) -> None:
    """Staff gave credits. In the transaction that gives them; `now` is the account's time."""
    feature = catalog.current().feature(grant.feature)
    notify(
        account=grant.account,
        kind="credits_given",
        key=f"credits_given:{grant.pk}",
        now=now,
        context={
            "feature": feature.name,
            "units": grant.units,
            "units_text": money.quantity(grant.units, feature),
            "reason": grant.reason,
            "ends_at": iso(grant.expires_at),
        },
    )


def sweep(*, now: datetime, limit: int = 2000) -> int:
    """For the beat: tell of credits that end within a week, once a grant; answers how many. `now` is wall time."""
    told = 0
    for grant in _ending(now)[:limit]:
        try:
            with transaction.atomic():
                told += _ends(grant, now=getattr(grant, "at", now))
        except Exception:  # one account's trouble must not keep the others from their notices
            log.exception("credits_ending_not_told", grant=grant.pk)
    return told


def _ending(now: datetime) -> QuerySet[CreditGrant]:
    """By the account's own time, in an order by chance, so that nobody is always beyond the limit."""
    ends = Q(expires_at__gt=F("at"), expires_at__lte=F("at") + AHEAD)
    return (
        CreditGrant.objects.filter(remaining__gt=0)
        .annotate(at=Coalesce("account__customer__clock_now", Value(now)))
        .filter(ends, expires_at__gte=F("granted_at") + SHORT_LIFE)
        .select_related("account")
        .order_by("?")
    )


def _ends(grant: CreditGrant, *, now: datetime) -> bool:
    feature = catalog.current().features.get(grant.feature)
    if feature is None:
        return False  # the price list does not count it any more
    told = notify(
        account=grant.account,
        kind="credits_ending",
        key=f"credits_ending:{grant.pk}",
        now=now,
        context={
            "feature": feature.name,
            "units": grant.remaining,
            "units_text": money.quantity(grant.remaining, feature),
            "ends_at": iso(grant.expires_at),
        },
    )
    return told is not None
