"""What money is asked for in a price list: prices, their steps, and packs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Interval = Literal["month", "year"]
TiersMode = Literal["graduated", "volume"]


@dataclass(frozen=True)
class Tier:
    """Units (or seats) up to and with `up_to` (None: all that follow) cost `amount` each, and `flat` once."""

    up_to: int | None
    amount: int
    flat: int = 0


@dataclass(frozen=True)
class Price:
    """One way to pay a plan. `amount`: minor units of `currency` per period, per seat or per metered unit.

    With `tiers` each unit costs what its step says ("graduated"), or all cost what the step of the last one says
    ("volume"); `amount` is then that of the first step (https://docs.stripe.com/products-prices/pricing-models#tiered-pricing).
    """

    lookup_key: str
    plan_key: str
    amount: int
    currency: str
    interval: Interval
    interval_count: int = 1
    per_seat: bool = False
    # The metered feature this price charges by the unit; None: a price per period.
    meter: str | None = None
    # What one unit is called on invoices: "seat", "token".
    unit_label: str = ""
    tiers: tuple[Tier, ...] = ()
    tiers_mode: TiersMode | None = None
    # The same in other currencies, in their minor units; who buys in one keeps it.
    currencies: Mapping[str, int] = field(default_factory=dict, hash=False)

    def in_currency(self, code: str) -> Price:
        """As somebody sees it who pays in `code`; as it stands where it is not sold in that."""
        if code not in self.currencies:
            return self
        return replace(self, amount=self.currencies[code], currency=code)

    def is_sold_in(self, code: str) -> bool:
        return code == self.currency or code in self.currencies

    def charge(self, quantity: int) -> int:
        """What `quantity` units, seats or periods cost, in minor units.

        A flat amount of the first step is charged for nothing too, as Stripe does
        (https://docs.stripe.com/products-prices/pricing-models#flat-fees).
        """
        if not self.tiers:
            return self.amount * quantity
        if self.tiers_mode == "volume":
            tier = next(tier for tier in self.tiers if tier.up_to is None or quantity <= tier.up_to)
            return tier.amount * quantity + tier.flat
        total, below = 0, 0
        for tier in self.tiers:
            upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
            if upper > below or tier is self.tiers[0]:
                total += tier.amount * (upper - below) + tier.flat
            below = upper
        return total

    @property
    def months(self) -> int:
        """Length of the billing period in months."""
        return self.interval_count * (12 if self.interval == "year" else 1)


@dataclass(frozen=True)
class Pack:
    """Units bought ahead with one payment; drawn when the window's allowance is used up."""

    lookup_key: str
    name: str
    feature: str
    units: int
    # Minor units of `currency`, once.
    amount: int
    currency: str
    # Lower is drawn first.
    priority: int = 100
    # Days from the payment after which the rest is gone; None: it stays.
    expires_days: int | None = None
