"""What the decision is given and what it answers; nothing here decides."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Level(enum.IntEnum):
    """How much of the plan an account has; ordered, so that the best of several can be taken."""

    BLOCKED = 0  # may read and export its own data
    FREE = 1  # the default plan
    GRACE = 2  # everything bought, with a dated notice
    FULL = 3


@dataclass(frozen=True)
class Terms:
    """What the plan says about late payment. `grace_days` counts from the first failure, not from retries."""

    grace_days: int
    grace_days_after_trial: int = 0


@dataclass(frozen=True)
class SubscriptionFacts:
    """What the decision needs of one subscription; all times aware, in the account's time."""

    status: str
    terms: Terms
    rank: int = 0
    period_start: datetime | None = None
    period_end: datetime | None = None
    trial_end: datetime | None = None
    cancel_at_period_end: bool = False
    cancel_at: datetime | None = None
    pause_collection: str = ""
    # From when a pause counts that the customer asked for; one without such a date costs no access.
    paused_from: datetime | None = None
    collection_method: str = "charge_automatically"
    first_failed_at: datetime | None = None
    first_paid_at: datetime | None = None
    invoice_due_at: datetime | None = None
    synced_at: datetime | None = None
    status_since: datetime | None = None
    last_known_status: str = ""

    @property
    def is_canceling(self) -> bool:
        return self.cancel_at_period_end or self.cancel_at is not None

    @property
    def ends_at(self) -> datetime | None:
        """When it ends by itself, if it does."""
        if self.cancel_at is not None:
            return self.cancel_at
        if not self.cancel_at_period_end:
            return None
        return self.trial_end if self.status == "trialing" else self.period_end


@dataclass(frozen=True)
class GrantFacts:
    """A plan given by staff, valid in [starts_at, until)."""

    starts_at: datetime
    until: datetime | None = None
    revoked: bool = False
    rank: int = 0

    def is_valid(self, now: datetime) -> bool:
        return not self.revoked and self.starts_at <= now and (self.until is None or now < self.until)


@dataclass(frozen=True)
class Decision:
    """The answer. `subscription`/`grant` are positions in what was given: what was bought, and what gives the rights.

    `reason` is a stable word for notices and the API. `valid_until`: the answer cannot change by the clock before it.
    """

    level: Level
    reason: str
    may_check_out: bool
    subscription: int | None = None
    grant: int | None = None
    grace_until: datetime | None = None
    valid_until: datetime | None = None
    needs_staff: bool = False
