"""What one try at counting came to, the same from PostgreSQL's function and from the portable way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["granted", "replayed", "conflict", "exhausted", "stale"]


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
    # Written to the outbox when the window's counter says that the feature is metered.
    meter_event_name: str | None
    user_id: int | None
    api_key_id: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome, with the numbers after it.

    granted    counted; `record_id` is the ledger row
    replayed   the key had counted the same before; the numbers are those of then
    conflict   the key had counted something else before
    exhausted  the window's limit does not allow it
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
    # Committed, but perhaps not on disk yet: answer only after `postgres.barrier()`.
    needs_barrier: bool = False
