"""The first time an account goes beyond an allowance: so many units for nothing, once, if the plan says so.

They are credits given for the occasion, so that they are drawn, shown and counted as credits are; the key they are
given under happens once for an account and feature, and so does the forgiveness.
"""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from billing import catalog, credits
from billing.catalog import Allowance
from billing.models import CreditEntry, CreditGrant
from usage.models import UsageCounter

KEY = "forgiven:"
# Drawn before credits that were bought.
FIRST = 0


def is_possible(account: Account, allowance: Allowance | None) -> bool:
    """Whether the next step beyond `allowance` is forgiven."""
    if allowance is None or not allowance.forgive or allowance.quantity is None:
        return False
    return not CreditGrant.objects.filter(source_key=_key(account, allowance.feature)).exists()


def give(account: Account, allowance: Allowance, *, counter: UsageCounter, now: datetime) -> None:
    """Give what the plan forgives, for the rest of the window; inside the caller's transaction."""
    name = catalog.current().feature(allowance.feature).name
    credits.give(
        account=account,
        feature=allowance.feature,
        units=allowance.forgive,
        source=CreditGrant.Source.GIFT,
        source_key=_key(account, allowance.feature),
        now=now,
        expires_at=counter.period_end,
        priority=FIRST,
        reason=f"The first time beyond the allowance of {name}",
    )


def units_of(record_id: int) -> int:
    """Units of an act that were forgiven."""
    drawn = CreditEntry.objects.filter(usage_record_id=record_id, grant__source_key__startswith=KEY)
    return -sum(drawn.values_list("units", flat=True))


def _key(account: Account, feature: str) -> str:
    return f"{KEY}{account.pk}:{feature}"
