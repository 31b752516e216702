"""The price list as one visitor sees it: each plan with its price and the right next act. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from accounts.models import Account, Member
from billing import catalog as price_list
from billing import money
from billing.catalog import Catalog, Pack, Plan, Price
from billing.catalog.sold import Interval
from billing.entitlements import Entitlements
from billing.models import Subscription

# The feature that counts an account's people, where a price list limits them.
MEMBERS = "members"


class Act(StrEnum):
    """What the button of a card does."""

    SIGN_UP = "sign_up"  # a visitor
    BUY = "buy"
    HERE = "here"  # the plan in force and nothing to do about it
    MANAGE = "manage"  # what is paid for, or was and is not any more
    RESUME = "resume"  # it would end; take that back
    LEAVE = "leave"  # from a paid plan to the free one
    SWITCH = "switch"  # another paid plan: its receipt comes first
    TALK = "talk"  # sold by people
    ON_HOLD = "on_hold"  # blocked: nothing is sold until staff lift it
    ASK = "ask"  # a member without the right to buy
    ORGANIZATION = "organization"  # for organizations, and this is a person
    PERSON = "person"  # for a person, and this is an organization
    TOO_SMALL = "too_small"  # more people than the plan has room for


@dataclass(frozen=True)
class Viewer:
    """Who looks. A visitor has neither rights nor account."""

    now: datetime
    account: Account | None = None
    member: Member | None = None
    rights: Entitlements | None = None
    # People who take a seat.
    people: int = 1
    # Trial days by plan key, for those who have not had their trial.
    trials: Mapping[str, int] = field(default_factory=dict)
    # Units used in the running period by feature key.
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tag:
    """One price on a card. All texts are ready to be shown."""

    price: Price
    amount: str
    per: str
    # "from", where it is the lowest of several steps.
    prefix: str
    # The steps of a price that has them: "1 to 100 for $0.50 each".
    steps: tuple[str, ...]
    # What is paid by the unit, each with its steps: "1,000 tokens a month included, then $0.50 a token".
    units: tuple[tuple[str, tuple[str, ...]], ...]
    # What the smallest purchase costs, where that is more than one seat.
    total: str
    first_seats: int
    saving: str
    trial: str
    renewal: str


@dataclass(frozen=True)
class Offer:
    """One card."""

    plan: Plan
    act: Act
    is_current: bool
    month: Tag | None
    year: Tag | None
    # "From 59 tokens a month on, Pro costs less."
    break_even: str
    # "You used 212 runs this month; this plan has 100."
    tight: tuple[str, ...]
    next_step: str

    @property
    def tags(self) -> list[tuple[str, Tag]]:
        """The prices with the part of the month/year switch they belong to; "" is shown in both positions."""
        if self.month and self.year:
            return [("m", self.month), ("y", self.year)]
        return [("", tag) for tag in (self.month, self.year) if tag]


def offers(catalog: Catalog, viewer: Viewer) -> list[Offer]:
    """A card for every plan for sale, in the catalog's order."""
    return [_offer(plan, catalog, viewer) for plan in catalog.for_sale()]


def price_of(subscription: Subscription) -> Price | None:
    """What a subscription pays, in its own currency; None where the price list does not know it."""
    prices = price_list.current().in_currency(subscription.currency)
    return prices.find_price(subscription.price_lookup_key)


def groups(shown: list[Offer], viewer: Viewer) -> list[tuple[str, list[Offer]]]:
    """The cards under headings, when people and organizations are sold different plans; else without.

    What everybody may have stands with what the viewer may have, and that comes first.
    """
    audiences = {offer.plan.audience for offer in shown}
    if not {"individual", "organization"} <= audiences:
        return [("", shown)]
    is_organization = viewer.account is not None and viewer.account.kind == Account.Kind.ORGANIZATION
    other = "individual" if is_organization else "organization"
    fitting = [offer for offer in shown if offer.plan.audience != other]
    rest = [offer for offer in shown if offer.plan.audience == other]
    if is_organization:
        return [("For organizations", fitting), ("For yourself", rest)]
    return [("For yourself", fitting), ("For organizations", rest)]


def best_saving(catalog: Catalog) -> str:
    """What a year saves over twelve months: "17%", "up to 26%", or nothing."""
    both = [plan for plan in catalog.for_sale() if plan.price_every("month") and plan.price_every("year")]
    percents = {_saving(plan)[1] for plan in both}
    best = max(percents, default=0)
    return "" if not best else f"{best}%" if len(percents) == 1 else f"up to {best}%"


def has_both(catalog: Catalog) -> bool:
    """Whether some plan can be paid by the month and by the year, so that there is something to switch."""
    return any(plan.price_every("month") and plan.price_every("year") for plan in catalog.for_sale())


def packs(catalog: Catalog) -> list[tuple[Pack, str]]:
    """What can be bought ahead, with what it holds in words."""
    return [(pack, money.pack_phrase(pack, catalog.feature(pack.feature))) for pack in catalog.packs]


def _offer(plan: Plan, catalog: Catalog, viewer: Viewer) -> Offer:
    return Offer(
        plan=plan,
        act=_act(plan, catalog, viewer),
        is_current=viewer.rights is not None and viewer.rights.plan.key == plan.key,
        month=_tag(plan, "month", catalog, viewer),
        year=_tag(plan, "year", catalog, viewer),
        break_even=_break_even(plan, catalog),
        tight=tuple(_tight(plan, catalog, viewer)),
        next_step=_next_step(plan, catalog),
    )


def _act(plan: Plan, catalog: Catalog, viewer: Viewer) -> Act:
    rights, account = viewer.rights, viewer.account
    if plan.contact_sales and not (rights and rights.plan.key == plan.key):
        return Act.TALK
    if rights is None or account is None:
        return Act.SIGN_UP
    subscription = rights.subscription
    has_bought = subscription is not None and not rights.may_check_out
    may_bill = viewer.member is not None and viewer.member.may_bill
    if subscription is not None and has_bought and subscription.plan_key == plan.key:
        if not may_bill:
            return Act.HERE
        return Act.RESUME if subscription.is_canceling and not subscription.is_fixed_term else Act.MANAGE
    if rights.plan.key == plan.key:
        return Act.HERE
    if not plan.suits(account.kind):
        return Act.ORGANIZATION if plan.audience == "organization" else Act.PERSON
    if not may_bill:
        return Act.ASK
    if plan.key == catalog.default_plan.key:
        return Act.LEAVE if has_bought else Act.HERE
    if rights.is_blocked:
        return Act.ON_HOLD
    room = plan.limits.get(MEMBERS)
    if room is not None and viewer.people > room:
        return Act.TOO_SMALL
    return Act.SWITCH if has_bought else Act.BUY


def _tag(plan: Plan, interval: Interval, catalog: Catalog, viewer: Viewer) -> Tag | None:
    price = plan.price_every(interval)
    if price is None:
        return None
    seats = _first_seats(plan, viewer) if price.per_seat else 1
    sum_text = money.text(price.charge(seats), price.currency)
    # The sum of a number of seats stands beside their picker, which keeps it right while the number changes.
    charge = "" if price.per_seat else f", {sum_text},"
    return Tag(
        price=price,
        amount=money.text(money.lowest(price), price.currency, short=True),
        per=_per(price),
        prefix="from" if money.has_steps(price) else "",
        steps=tuple(money.steps(price)),
        units=tuple(_by_the_unit(plan, price, catalog)),
        total=f"{sum_text} a {money.period_phrase(price)}" if price.per_seat else "",
        first_seats=seats,
        saving=_saving_phrase(plan, price) if interval == "year" else "",
        trial=_trial(plan, charge, viewer),
        renewal=_renewal(price),
    )


def _by_the_unit(plan: Plan, price: Price, catalog: Catalog) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What use costs, and how much of it is included."""
    for metered in plan.metered_prices:
        if metered.months != price.months or metered.meter is None:
            continue
        allowance, phrase = plan.included(metered.meter), money.price_phrase(metered)
        is_beside = metered != price
        if allowance is not None and allowance.quantity:
            many = money.quantity(allowance.quantity, catalog.feature(metered.meter))
            yield (
                f"{many} a {allowance.per} included, then {phrase}",
                tuple(money.steps(metered) if is_beside else ()),
            )
        elif is_beside:
            yield f"and {phrase}", tuple(money.steps(metered))


def _first_seats(plan: Plan, viewer: Viewer) -> int:
    """How many seats the picker begins with: those there are people for, within what is sold."""
    if plan.seats is None:
        return 1
    return min(max(plan.seats.min, viewer.people), plan.seats.max or viewer.people + plan.seats.min)


def _per(price: Price) -> str:
    if price.meter:
        return f"a {price.unit_label or 'unit'}"
    return f"a seat and {money.period_phrase(price)}" if price.per_seat else f"a {money.period_phrase(price)}"


def _saving(plan: Plan) -> tuple[int, int]:
    """What a year saves over twelve months, in minor units and in whole per cent, never more than it is; zeros when
    nothing.
    """
    month, year = plan.price_every("month"), plan.price_every("year")
    if month is None or year is None or month.meter or year.meter or month.tiers or year.tiers:
        return 0, 0
    saved = month.amount * 12 - year.amount
    return (saved, 100 * saved // (month.amount * 12)) if saved > 0 else (0, 0)


def _saving_phrase(plan: Plan, price: Price) -> str:
    saved, percent = _saving(plan)
    if not saved:
        return ""
    each = " a seat" if price.per_seat else ""
    return f"Saves {money.text(saved, price.currency, short=True)} a year{each}{f' ({percent}%)' if percent else ''}"


def _trial(plan: Plan, charge: str, viewer: Viewer) -> str:
    """The terms, with the date and the sum of the first charge."""
    days = plan.trial_days if viewer.rights is None else viewer.trials.get(plan.key, 0)
    if not days:
        return ""
    first = viewer.now + timedelta(days=days)
    day = f"{first:%-d %B %Y}"
    once = "One trial per person and card; a second one is not started, and nothing is charged."
    if not plan.trial_needs_card:
        return f"Free for {days} days, no card needed. Add one by {day} to go on. {once}"
    return f"Free for {days} days. The first charge{charge} comes on {day}; cancel before and pay nothing. {once}"


def _renewal(price: Price) -> str:
    if price.meter:
        return f"No monthly fee. What you used is charged at the end of each {money.period_phrase(price)}."
    return f"Renews every {money.period_phrase(price)} until you cancel."


def _break_even(plan: Plan, catalog: Catalog) -> str:
    """From how many units on a flat plan for the same people costs less than this one by the unit."""
    tag = plan.price_every("month")
    if tag is None or tag.meter is None or tag.tiers:
        return ""
    feature = catalog.feature(tag.meter)
    flat = [
        (price.amount, other.name)
        for other in catalog.for_sale()
        if (price := other.price_every("month")) is not None
        and price.meter is None
        and not price.per_seat
        and (allowance := other.allowances.get(feature.key)) is not None
        and allowance.quantity is None
    ]
    if not flat:
        return ""
    amount, name = min(flat)
    included = plan.included(feature.key)
    units = amount // tag.amount + 1 + (included.quantity or 0 if included and included.per == "month" else 0)
    return f"From {units:,} {feature.unit_many} a month on, {name} costs less."


def _tight(plan: Plan, catalog: Catalog, viewer: Viewer) -> list[str]:
    """What the account used in the running period and this plan would not have given."""
    sentences = []
    for key, used in viewer.used.items():
        allowance = plan.allowances.get(key)
        given = 0 if allowance is None else allowance.quantity
        if key in plan.metered or given is None or used <= given:
            continue
        feature = catalog.feature(key)
        has = money.quantity(given, feature) if given else f"no {feature.unit_many}"
        sentences.append(f"You used {money.quantity(used, feature)} in this period; {plan.name} has {has}.")
    room = plan.limits.get(MEMBERS)
    if room is not None and viewer.people > room:
        sentences.append(f"You are {viewer.people} people; {plan.name} has room for {room}.")
    return sentences


def _next_step(plan: Plan, catalog: Catalog) -> str:
    """Where more seats than this plan sells are to be had."""
    if plan.seats is None or plan.seats.max is None or not plan.seats.ladder:
        return ""
    larger = catalog.for_seats(plan.seats.ladder, plan.seats.max + 1)
    return f"{plan.seats.max + 1} seats and more: {larger.name}." if larger else ""
