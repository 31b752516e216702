"""Plans that became smaller: what is kept above the new limit is flagged and told, once; nothing is deleted.

Claims are refused by the limit of the moment whether anybody looks here or not. This is so that people hear of it from
us, and that `over_since` is near the time it happened.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounts.notifications import notify
from billing import catalog, clock, entitlements, money
from usage.metering.refusals import UnknownFeature
from usage.models import Gauge
from usage.standing import limits


def look(*, now: datetime, limit: int = 500) -> int:
    """Hold against its plan what is kept by accounts whose rights have changed since; `now` is everybody's time.

    Answers how many gauges were looked at, `limit` at most; the rest is found by the next turn. Raises CheckFailed when
    the database or the price list cannot be read; the next turn goes on from there.
    """
    changed = Gauge.objects.filter(account__customer__isnull=False).exclude(
        noted_version=F("account__customer__access_version"), noted_version__isnull=False
    )
    found = list(changed.select_related("account__customer").order_by("pk")[:limit])
    for gauge in found:
        try:
            _note(gauge, now=now)
        except UnknownFeature:
            # The price list has lost it, and with it the limit.
            _is_noted(gauge)
    return len(found)


@transaction.atomic
def _note(gauge: Gauge, *, now: datetime) -> None:
    standing = limits.state(gauge.account, gauge.feature, now)
    # The version from before it was asked: a change meanwhile is looked at by the next turn.
    _is_noted(gauge)
    rights = entitlements.of(gauge.account, now=clock.at(gauge.account, now=now))
    # Who is on hold has more to hear than that, and hears it elsewhere. Runs that are too many end by themselves.
    fits = standing.limit is None or standing.kept <= standing.limit
    if standing.over_since is None or rights.is_blocked or fits:
        return
    feature = catalog.current().feature(gauge.feature)
    notify(
        account=gauge.account,
        kind="over_limit",
        key=f"over_limit:{gauge.feature}:{standing.over_since.isoformat()}",
        now=rights.now,
        context={
            "feature": feature.name,
            "used": standing.kept,
            "limit": standing.limit,
            "used_text": money.quantity(standing.kept, feature),
            "limit_text": money.quantity(standing.limit, feature),
            "is_more_sold": limits.is_more_sold(gauge.feature, standing.limit or 0),
            "plan": rights.plan.name,
        },
    )


def _is_noted(gauge: Gauge) -> None:
    version = gauge.account.customer.access_version
    Gauge.objects.filter(pk=gauge.pk).update(noted_version=version)
