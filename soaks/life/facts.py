"""What the calculation keeps of a customer: purchase, code, bills, and what was used; times in Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass

from soaks.life.terms import Plan, Price


@dataclass(frozen=True)
class Code:
    """A promotion code: so much off each payment in the first `months` (None: for as long as the plan runs)."""

    name: str
    percent: int
    months: int | None


@dataclass
class Bill:
    """One invoice: `total` in minor units may be below zero; then it is credit for later ones."""

    at: int
    total: int
    state: str = "draft"
    due: int = 0
    attempts: int = 0
    next_try: int | None = None
    refunded: int = 0
    # "", "open", "won", "lost" or "forgiven".
    dispute: str = ""
    # Made while the plan was paused: it is never charged.
    is_paused: bool = False
    # Of a plan that has ended: whether the card it had is good, whatever card is entered later.
    its_card_is_good: bool | None = None
    # Whether a plan hangs on it that a last failed try ends.
    purchase: Purchase | None = None


@dataclass
class Purchase:
    """What runs: half-open period [start, end) in Unix seconds, counted from the anchor."""

    plan: Plan
    price: Price
    quantity: int
    anchor: int
    start: int
    end: int
    trial_end: int | None = None
    status: str = "active"
    is_canceling: bool = False
    # Ends because a dispute was lost, and for nothing else.
    ends_for_dispute: bool = False
    planned: tuple[Price, int] | None = None
    failed_at: int | None = None
    first_paid_at: int | None = None
    ended_at: int | None = None
    # A pause counts from the end of what is paid for until payments go on.
    paused_from: int | None = None
    resumes_at: int | None = None
    code: Code | None = None
    code_ends: int | None = None


@dataclass(frozen=True)
class Use:
    at: int
    feature: str
    units: int
    window: tuple[int, int]
    is_billed: bool
