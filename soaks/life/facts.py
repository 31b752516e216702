"""What the calculation keeps of a customer: the purchase, its bills, and what was used; times in Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass

from soaks.life.terms import Plan, Price


@dataclass
class Bill:
    """One invoice: `total` in minor units may be below zero; then it is credit for later ones."""

    at: int
    total: int
    state: str = "draft"
    due: int = 0
    attempts: int = 0
    next_try: int | None = None
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
    planned: tuple[Price, int] | None = None
    failed_at: int | None = None
    first_paid_at: int | None = None
    ended_as_agreed: bool = False
    ended_at: int | None = None


@dataclass(frozen=True)
class Use:
    at: int
    feature: str
    units: int
    window: tuple[int, int]
    is_billed: bool
