"""How many credits are left, and when some of them end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db.models import Sum

from accounts.models import Account
from billing import catalog
from billing.models import CreditGrant


@dataclass(frozen=True)
class Balance:
    """What is left of a feature's credits, and the next moment some of it ends (None: it does not)."""

    feature: str
    units: int
    next_expiry: datetime | None
    units_of_next_expiry: int


def balances(account: Account, *, now: datetime) -> list[Balance]:
    """What is left by feature, in the catalog's order; features without credits are not named. One query."""
    there = CreditGrant.objects.filter(account=account).usable(now).order_by("feature")
    by_feature = {key: list(grants) for key, grants in groupby(there, key=lambda grant: grant.feature)}
    found = []
    for feature in [key for key in catalog.current().features if key in by_feature]:
        grants_left = by_feature[feature]
        ends = min((grant.expires_at for grant in grants_left if grant.expires_at is not None), default=None)
        ending = sum(
            grant.remaining for grant in grants_left if ends is not None and grant.expires_at == ends
        )
        found.append(Balance(feature, sum(grant.remaining for grant in grants_left), ends, ending))
    return found


def left(account: Account | UUID, feature: str, *, now: datetime) -> int:
    """Units of credits that could be drawn at `now`."""
    grants_left = CreditGrant.objects.burnable(account, feature, now).order_by()
    return int(grants_left.aggregate(units=Sum("remaining"))["units"] or 0)
