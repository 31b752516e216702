"""What one try at counting came to, the same from PostgreSQL's function, the portable way and the slow way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["granted", "replayed", "conflict", "asks", "exhausted", "stale"]
Reason = Literal["allowance_exhausted", "budget_reached", "member_budget_reached"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Units to count. `now` is everybody's time: an account on a Stripe test clock is counted in its clock's time."""

    account_id: uuid.UUID
    feature: str
    units: int
    idempotency_key: str
    now: datetime
    # First half of the stamp; the other half is the customer's access_version, read in the act.
    catalog: str
    # Written to the outbox when units of the act are to be paid for.
    meter_event_name: str | None
    user_id: int | None
    api_key_id: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome, with the numbers after it.

    granted    counted; `record_id` is the ledger row
    replayed   the key had counted the same before; the numbers are those of then
    conflict   the key had counted something else before
    asks       the allowance does not go so far, and credits, budgets or forgiveness must be looked at: `drawing`
    exhausted  the window's limit, or the budget that `reason` names, does not allow it
    stale      no counter may be trusted: ask entitlements, open the window's counter, try again
    """

    outcome: Outcome
    # The account's time of this try.
    seen_at: datetime
    record_id: int | None = None
    used: int = 0
    reserved: int = 0
    limit: int | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    # Of the act's units: burned from credits, and to be paid for at `cost` minor units; the rest is the allowance's.
    credited: int = 0
    billed: int = 0
    cost: int = 0
    # Committed, but perhaps not on disk yet: answer only after `postgres.barrier()`.
    needs_barrier: bool = False
    reason: Reason = "allowance_exhausted"
