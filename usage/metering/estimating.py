"""What an act will probably take, from what the account's acts have taken: a range, before anything is spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing import catalog, clock
from usage.metering.refusals import UnknownFeature
from usage.models import UsageRecord

# Looked at: the newest acts of the feature among the newest of the account, so that it costs the same on any ledger.
ACTS = 200
ACTS_OF_ALL_FEATURES = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Units an act of `feature` takes: one in ten took less than `low`, half more than `typical`, one in ten more than
    `high`. All three are None without a history; `sample` is the number of acts looked at."""

    feature: str
    low: int | None
    typical: int | None
    high: int | None
    sample: int


def estimate(*, account: Account, feature: str, now: datetime) -> Estimate:
    """The range of the account's own newest acts of `feature` up to `now` (everybody's time). Reads only.

    `high` is a good number of units to reserve. Raises UnknownFeature.
    """
    known = catalog.current().features.get(feature)
    if known is None or known.kind not in ("allowance", "metered"):
        raise UnknownFeature(f"The price list has nothing countable called {feature!r}.")
    newest = (
        UsageRecord.objects.filter(account=account)
        .order_by("-id")
        .values_list("feature", "units", "recorded_at")[:ACTS_OF_ALL_FEATURES]
    )
    until = clock.at(account, now=now)
    took = sorted([units for of, units, at in newest if of == feature and at <= until][:ACTS])
    return Estimate(
        feature=feature,
        low=_percentile(took, 10),
        typical=_percentile(took, 50),
        high=_percentile(took, 90),
        sample=len(took),
    )


def _percentile(took: list[int], percent: int) -> int | None:
    """The smallest that so many in a hundred do not exceed (nearest rank, so it is a number that did occur)."""
    if not took:
        return None
    return took[max(-(-len(took) * percent // 100), 1) - 1]
