"""The words of a price list: frozen, complete and already checked; `reading` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from billing.catalog.sold import Interval, Pack, Price

Audience = Literal["individual", "organization", "any"]
Kind = Literal["switch", "limit", "allowance", "metered"]
Per = Literal["day", "week", "month"]
TrialIdentity = Literal["account", "email", "card"]


class UnknownPlan(KeyError):
    """No plan of this key in the catalog."""

    def __str__(self) -> str:
        return f"The catalog has no plan {self.args[0]!r}."


class UnknownPrice(KeyError):
    """No price of this lookup key in the catalog."""

    def __str__(self) -> str:
        return f"The catalog has no price {self.args[0]!r}."


class UnknownPack(KeyError):
    """No pack of this lookup key in the catalog."""

    def __str__(self) -> str:
        return f"The catalog has no pack {self.args[0]!r}."


class UnknownFeature(KeyError):
    """No feature of this key in the catalog."""

    def __str__(self) -> str:
        return f"The catalog has no feature {self.args[0]!r}."


@dataclass(frozen=True)
class Feature:
    """A capability or a thing counted.

    switch      on or off                          includes("sso")
    limit       a standing maximum                 projects, members, storage
    allowance   comes back each day/week/month     250 generations a month
    metered     counted and paid by the unit; a plan may give some of it as an allowance, or all of it (unlimited)
    """

    key: str
    name: str
    unit_one: str
    unit_many: str
    kind: Kind
    # The event name of Stripe's meter; metered features have one, others None.
    meter_event_name: str | None = None
    # One sentence shown beside the name in the comparison table.
    hint: str = ""

    @property
    def is_bytes(self) -> bool:
        """Counted in bytes, so pages say "10 GB"."""
        return self.unit_one == "byte"


@dataclass(frozen=True)
class Rollover:
    """What is left of a window is usable in the next `windows` windows too, `cap` units at most (None: all of it)."""

    cap: int | None
    windows: int


@dataclass(frozen=True)
class Allowance:
    """So many units of a feature in every usage period. `quantity` None is unlimited.

    In a plan that also has the feature metered they are included, and what is used beyond them is paid by the unit.
    """

    feature: str
    quantity: int | None
    per: Per
    rollover: Rollover | None = None
    # Units given for nothing the first time an account goes beyond; zero: none.
    forgive: int = 0


@dataclass(frozen=True)
class Seats:
    """How many seats may be bought, both ends included. `max` None: no upper end.

    Plans that share a `ladder` are steps of one staircase: their ranges do not overlap, so a number of
    seats names one plan. With `follow_members` nobody buys seats: as many are paid for as there are members.
    """

    min: int
    max: int | None
    ladder: str = ""
    follow_members: bool = False

    def allow(self, quantity: int) -> bool:
        return quantity >= self.min and (self.max is None or quantity <= self.max)


@dataclass(frozen=True)
class Plan:
    """What is on the pricing page, and what it grants. A feature that is not named is not granted."""

    key: str
    name: str
    summary: str
    audience: Audience
    # Higher is better: decides between a grant and a subscription, and what is an upgrade.
    rank: int
    prices: tuple[Price, ...] = ()
    switches: frozenset[str] = frozenset()
    # None is unlimited.
    limits: dict[str, int | None] = field(default_factory=dict, hash=False)
    allowances: dict[str, Allowance] = field(default_factory=dict, hash=False)
    metered: frozenset[str] = frozenset()
    seats: Seats | None = None
    trial_days: int = 0
    # Whether a trial asks for a card at its start; without one the plan is paused at the end until there is one.
    trial_needs_card: bool = True
    # Days of access after the first failed payment of an open invoice.
    grace_days: int = 0
    money_back_days: int = 0
    # Longest pause a customer may take, in whole months; 0: none.
    pause_months: int = 0
    # Not sold any more (or never was): kept for those who have it and for grants.
    retired: bool = False
    contact_sales: bool = False
    popular: bool = False
    selling_points: tuple[str, ...] = ()
    # Rows of the comparison table that are words: {"Support": "Priority, around the clock"}.
    facts: dict[str, str] = field(default_factory=dict, hash=False)

    def price_of_units(self, feature: str) -> Price | None:
        """What a metered feature costs in this plan; None where it is not paid by the unit."""
        return next((price for price in self.prices if price.meter == feature), None)

    def included(self, feature: str) -> Allowance | None:
        """What a plan that sells a feature by the unit gives of it first."""
        return self.allowances.get(feature) if feature in self.metered else None

    @property
    def is_free(self) -> bool:
        """Costs nothing and is not a matter of talking to sales."""
        return not self.prices and not self.contact_sales

    @property
    def base_prices(self) -> tuple[Price, ...]:
        """What is paid per period; at most one for each period length."""
        return tuple(price for price in self.prices if price.meter is None)

    @property
    def metered_prices(self) -> tuple[Price, ...]:
        """What is paid per unit used."""
        return tuple(price for price in self.prices if price.meter is not None)

    def price_every(self, interval: Interval) -> Price | None:
        """What to check out with for this interval: the base price, or the metered one where none is."""
        candidates = [*self.base_prices, *(() if self.base_prices else self.metered_prices)]
        return next((price for price in candidates if price.interval == interval), None)

    def in_currency(self, code: str) -> Plan:
        """With its prices as somebody sees them who pays in `code`."""
        return replace(self, prices=tuple(price.in_currency(code) for price in self.prices))

    def suits(self, kind: str) -> bool:
        """Whether an account of this kind ("personal" or "organization") may have the plan."""
        return self.audience == "any" or (self.audience == "organization") == (kind == "organization")


@dataclass(frozen=True)
class Company:
    """Who sells: shown under the price list, in mails and on invoices' footers."""

    name: str
    support_email: str
    sales_email: str = ""
    address: str = ""
    terms_url: str = ""
    privacy_url: str = ""


@dataclass(frozen=True)
class Answer:
    """A question of the pricing page and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Catalog:
    """A whole price list."""

    key: str
    name: str
    tagline: str
    # ISO 4217 in lower case, as Stripe writes it.
    currency: str
    company: Company
    default_plan: Plan
    plans: dict[str, Plan] = field(hash=False)
    features: dict[str, Feature] = field(hash=False)
    # What makes a second trial a second one: the same account, the same mail address, the same card.
    trial_identity: tuple[TrialIdentity, ...]
    tax_note: str
    trust: tuple[str, ...]
    faq: tuple[Answer, ...]
    # First 12 hex digits over the content; comments and layout do not count.
    fingerprint: str
    packs: tuple[Pack, ...] = ()
    # Whether the payment page asks for a promotion code.
    promotion_codes: bool = True

    @property
    def currencies(self) -> tuple[str, ...]:
        """What can be paid in: the list's own currency first. Every price for sale is sold in each of them."""
        others = {code for plan in self.for_sale() for price in plan.prices for code in price.currencies}
        return (self.currency, *sorted(others))

    @property
    def known_currencies(self) -> frozenset[str]:
        """What somebody may be paying in: those of plans that are not sold any more too."""
        return frozenset((self.currency, *(code for price in self.prices() for code in price.currencies)))

    def in_currency(self, code: str) -> Catalog:
        """The price list as somebody sees it who pays in `code`; a price that is not sold in that stays in its own."""
        if code == self.currency or code not in self.known_currencies:
            return self
        plans = {key: plan.in_currency(code) for key, plan in self.plans.items()}
        return replace(self, currency=code, plans=plans, default_plan=plans[self.default_plan.key])

    def plan(self, key: str) -> Plan:
        """Raises UnknownPlan."""
        try:
            return self.plans[key]
        except KeyError:
            raise UnknownPlan(key) from None

    def price(self, lookup_key: str) -> Price:
        """Raises UnknownPrice."""
        price = self.find_price(lookup_key)
        if price is None:
            raise UnknownPrice(lookup_key)
        return price

    def find_price(self, lookup_key: str) -> Price | None:
        return next((price for price in self.prices() if price.lookup_key == lookup_key), None)

    def pack(self, lookup_key: str) -> Pack:
        """Raises UnknownPack."""
        for pack in self.packs:
            if pack.lookup_key == lookup_key:
                return pack
        raise UnknownPack(lookup_key)

    def feature(self, key: str) -> Feature:
        """Raises UnknownFeature."""
        try:
            return self.features[key]
        except KeyError:
            raise UnknownFeature(key) from None

    def prices(self) -> list[Price]:
        """Every price of every plan, retired ones too, in file order."""
        return [price for plan in self.plans.values() for price in plan.prices]

    def for_sale(self) -> list[Plan]:
        """The plans of the pricing page, in file order."""
        return [plan for plan in self.plans.values() if not plan.retired]

    def for_seats(self, ladder: str, quantity: int) -> Plan | None:
        """The step of the ladder that sells this many seats; None when none does."""
        steps = [plan for plan in self.for_sale() if plan.seats is not None and plan.seats.ladder == ladder]
        return next((plan for plan in steps if plan.seats is not None and plan.seats.allow(quantity)), None)
