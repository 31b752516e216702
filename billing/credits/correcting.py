"""Credits are taken back or written off: their money went back, staff correct, or their time is over."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from accounts.models import User
from billing import clock, grants
from billing.credits import entries
from billing.credits.entries import Kind
from billing.credits.giving import BadCredits
from billing.models import CreditGrant


def set_refunded(*, grant: CreditGrant, units: int, now: datetime, reason: str) -> int:
    """Have `units` of the grant be taken back in all, because their money went back; answers how many could not be.

    A smaller number than before (a dispute that was won, a refund that failed) returns the difference. Units that
    are used or held cannot be taken back. Safe twice.
    """
    if not _change_wanted(CreditGrant.objects.get(pk=grant.pk), units):
        return max(units - _taken_back(grant), 0)
    with transaction.atomic():
        grants.rights_changed(grant.account)
        grant = CreditGrant.objects.select_for_update().get(pk=grant.pk)
        if change := _change_wanted(grant, units):
            entries.move(grant, Kind.REFUND, -change, now=now, reason=reason)
        return max(units - _taken_back(grant), 0)


def correct(*, grant: CreditGrant, units: int, by: User, reason: str, now: datetime) -> CreditGrant:
    """Staff take units out of a grant (below zero) or put units back that were taken out. Raises BadCredits.

    More than was granted is a grant of its own: `give(source="correction")`.
    """
    if not reason.strip():
        raise BadCredits("Say why: the customer sees it in the history.")
    with transaction.atomic():
        grants.rights_changed(grant.account)
        grant = CreditGrant.objects.select_for_update().get(pk=grant.pk)
        if units == 0 or not 0 <= grant.remaining + units <= grant.units:
            raise BadCredits(
                f"{grant.remaining:,} of {grant.units:,} are left, so from {-grant.remaining:,} to "
                f"{grant.units - grant.remaining:,} can be corrected. Give the rest as a new grant."
            )
        entries.move(grant, Kind.CORRECT, units, now=now, by=by, reason=reason)
    return grant


def expire(*, now: datetime, limit: int = 500) -> int:
    """Write off what is left of grants whose time is over; answers how many grants. `now` is wall time.

    For the sweeper, and only for the books: nothing is drawn from a grant that is over. Held units wait for their end.
    """
    written_off = 0
    for found in CreditGrant.objects.expired(now).select_related("account").order_by("expires_at")[:limit]:
        with transaction.atomic():
            grant = CreditGrant.objects.select_for_update().get(pk=found.pk)
            if grant.remaining:
                entries.move(grant, Kind.EXPIRE, -grant.remaining, now=clock.at(found.account, now=now))
                written_off += 1
    return written_off


def _change_wanted(grant: CreditGrant, units: int) -> int:
    """Units to take (or, below zero, to return) so that as near to `units` as can be are taken back."""
    return min(units - _taken_back(grant), grant.remaining)


def _taken_back(grant: CreditGrant) -> int:
    """Units that are gone because their money went back."""
    return -int(grant.entries.filter(kind=Kind.REFUND).aggregate(units=Sum("units"))["units"] or 0)
