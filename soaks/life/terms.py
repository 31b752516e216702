"""What a business sells, read from its TOML by the soak itself, so that a mistake in reading shows as well."""

from __future__ import annotations

import calendar
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

CATALOGS = Path(__file__).resolve().parent.parent.parent / "config" / "catalogs"
BUSINESSES = ("automation", "hybrid", "kaboot", "ocr", "protocol")
# None of the five offers pauses; so that they are lived through, these plans do in the soak.
PAUSES = {"kaboot": ("pro",), "ocr": ("pro", "enterprise"), "protocol": ("pro", "starter")}
PAUSE_MONTHS = 3
# Whose settings take the plan away while a dispute is open (STRIPE_DOWNGRADE_ON_DISPUTE).
FREE_WHILE_DISPUTED = ("protocol",)


@dataclass(frozen=True)
class Price:
    """`amount` in minor units per period of `months`; of a metered price, per unit."""

    key: str
    plan: str
    amount: int
    months: int
    meter: str
    per_seat: bool


@dataclass(frozen=True)
class Plan:
    """A plan's terms. `allowances`: quantity (None: unlimited) and window by feature. `rank`: its place in the list."""

    key: str
    rank: int
    audience: str
    is_sold: bool
    trial_days: int
    grace_days: int
    money_back_days: int
    fewest: int
    most: int | None
    prices: tuple[Price, ...]
    allowances: dict[str, tuple[int | None, str]]
    metered: tuple[str, ...]
    pause_months: int = 0


@dataclass(frozen=True)
class Terms:
    """A whole price list."""

    plans: dict[str, Plan]
    default: Plan
    is_free_while_disputed: bool = False

    def price(self, key: str) -> Price:
        return next(price for plan in self.plans.values() for price in plan.prices if price.key == key)

    def for_sale(self, kind: str) -> list[Plan]:
        """What an account of `kind` ("organization", "personal") may buy by itself."""
        fitting = {"organization": ("any", "organization"), "personal": ("any", "individual")}[kind]
        return [plan for plan in self.plans.values() if plan.is_sold and plan.audience in fitting]


def read(business: str) -> Terms:
    """The terms of one of BUSINESSES."""
    told = tomllib.loads(told_by(business))
    plans = {key: _plan(key, rank, entry) for rank, (key, entry) in enumerate(told["plans"].items())}
    return Terms(plans, plans[told["default_plan"]], business in FREE_WHILE_DISPUTED)


def told_by(business: str) -> str:
    """Its own price list, but with pauses, and one card may pay for many accounts' trials: the test cards are few."""
    told = (CATALOGS / f"{business}.toml").read_text()
    for plan in PAUSES.get(business, ()):
        told = told.replace(f"[plans.{plan}]\n", f"[plans.{plan}]\npause_months = {PAUSE_MONTHS}\n", 1)
    return 'trial_identity = ["account", "email"]\n' + told


def _plan(key: str, rank: int, told: dict[str, Any]) -> Plan:
    seats = told.get("seats") or {}
    prices = tuple(_price(key, entry) for entry in told.get("prices", []))
    return Plan(
        key=key,
        rank=rank,
        audience=told.get("audience", "any"),
        is_sold=bool(prices) and not told.get("retired") and not told.get("contact_sales"),
        trial_days=told.get("trial_days", 0),
        grace_days=told.get("grace_days", 0),
        money_back_days=told.get("money_back_days", 0),
        fewest=seats.get("min", 1),
        most=seats.get("max") if seats else 1,
        prices=prices,
        allowances={
            feature: (None if given["quantity"] == "unlimited" else given["quantity"], given["per"])
            for feature, given in told.get("allowances", {}).items()
        },
        metered=tuple(told.get("metered", ())),
        pause_months=told.get("pause_months", 0),
    )


def _price(plan: str, told: dict[str, Any]) -> Price:
    return Price(
        key=told["lookup_key"],
        plan=plan,
        amount=told["amount"],
        months={"month": 1, "year": 12}[told["interval"]],
        meter=told.get("meter", ""),
        per_seat=told.get("per_seat", False),
    )


def later(anchor: int, months: int) -> int:
    """Unix seconds so many months after the anchor; a month without its day ends on its last one."""
    start = datetime.fromtimestamp(anchor, UTC)
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def months_between(anchor: int, boundary: int) -> int:
    """How many months after the anchor a period's boundary is."""
    start, end = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(boundary, UTC)
    return (end.year - start.year) * 12 + end.month - start.month


def step_at(anchor: int, months: int, moment: int) -> tuple[int, int]:
    """The period of `months`, counted from the anchor, that `moment` falls in."""
    number = 0
    while later(anchor, number) > moment:
        number -= months
    while later(anchor, number + months) <= moment:
        number += months
    return later(anchor, number), later(anchor, number + months)


def part(amount: int, seconds: int, of: int) -> int:
    """The share of an amount for some of the seconds of a period, rounded half away from zero, as Stripe does."""
    return int((Decimal(amount) * seconds / of).quantize(Decimal(1), ROUND_HALF_UP))
