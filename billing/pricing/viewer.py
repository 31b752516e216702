"""Who looks at the price list: what the cards need to know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accounts.models import Account, Member
from billing.entitlements import Entitlements


@dataclass(frozen=True)
class Viewer:
    """Who looks. A visitor has neither rights nor account."""

    now: datetime
    account: Account | None = None
    member: Member | None = None
    rights: Entitlements | None = None
    # What the account pays in since its first purchase; empty before it.
    pays_in: str = ""
    # People who take a seat.
    people: int = 1
    # Trial days by plan key, for those who have not had their trial.
    trials: Mapping[str, int] = field(default_factory=dict)
    # Units used in the running period by feature key.
    used: Mapping[str, int] = field(default_factory=dict)
