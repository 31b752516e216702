"""What somebody wants to change to, understood and allowed: at once when it is more, at the period's end when less."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account
from billing import catalog, entitlements, seats
from billing.catalog import Plan, Price
from billing.changes import membership
from billing.changes.refusals import ChangeRefused, NothingBought, WayOut
from billing.entitlements import Entitlements
from billing.models import PlanChange, Subscription

# Enough for somebody who tries things out; more would be a loop that harvests credits, or a mistake.
CHANGES_A_DAY = 5
# With those that were declined. Each writes an invoice, and Stripe writes twenty a day for a subscription
# (https://docs.stripe.com/rate-limits).
TRIES_A_DAY = 12
# More than this is a matter for sales, and Stripe's own largest amount is not far.
MOST_SEATS = 10_000


@dataclass(frozen=True)
class Wish:
    """From what is bought now to `price` × `quantity`."""

    account: Account
    subscription: Subscription
    before: Plan
    # None: a price the catalog does not know any more, of a plan it does.
    price_before: Price | None
    plan: Plan
    price: Price
    quantity: int

    @property
    def is_trial(self) -> bool:
        return self.subscription.status == "trialing"

    @property
    def ends_trial(self) -> bool:
        """A plan that is not sold with a trial does not go on with another plan's."""
        return self.is_trial and not self.plan.trial_days

    @property
    def is_later(self) -> bool:
        """Whether it waits for the end of what is paid for: a lesser plan, a shorter period, fewer seats."""
        if self.is_trial or self.price_before is None or self.price_before.meter is not None:
            return False  # nothing was paid ahead
        if self.plan.key != self.before.key:
            return self.plan.rank < self.before.rank
        if self.price.months != self.price_before.months:
            return self.price.months < self.price_before.months or self.quantity < self.subscription.quantity
        return self.quantity < self.subscription.quantity

    @property
    def is_only_seats(self) -> bool:
        return self.price == self.price_before


def of(*, account: Account, price: Price, quantity: int, now: datetime, wall: datetime) -> Wish:
    """What changing `account` to `price` × `quantity` would be. `now` is the account's time, `wall` everybody's.

    Reads our rows only. Raises NothingBought, and ChangeRefused with the way out.
    """
    rights = entitlements.of(account, now=now)
    subscription = rights.subscription
    if subscription is None or rights.standing is None or rights.standing.may_check_out:
        raise NothingBought
    _check_standing(rights, subscription)
    # In the currency the account pays in, which stays (https://docs.stripe.com/billing/customer#currency).
    prices = catalog.current().in_currency(subscription.currency)
    price = prices.find_price(price.lookup_key) or price
    plan = prices.plan(price.plan_key)
    before = prices.plan(subscription.plan_key)
    wish = Wish(
        account=account,
        subscription=subscription,
        before=before,
        price_before=prices.find_price(subscription.price_lookup_key),
        plan=plan,
        price=price,
        quantity=quantity,
    )
    _check_offer(wish)
    _check_room(wish, wall=wall)
    _check_pace(account, now=now)
    return wish


def for_seats(*, account: Account, quantity: int, now: datetime) -> Price:
    """The price that sells this account `quantity` seats: its own, or that of another step of the same ladder.

    Raises NothingBought, and ChangeRefused when its plan is not sold by the seat or no step sells so many.
    """
    subscription = entitlements.of(account, now=now).subscription
    if subscription is None:
        raise NothingBought
    prices = catalog.current()
    plan, price = prices.plans.get(subscription.plan_key), prices.find_price(subscription.price_lookup_key)
    if plan is None or price is None or plan.seats is None or not price.per_seat:
        raise ChangeRefused("Your plan is not sold by the seat.", way_out=WayOut.PLANS)
    if plan.seats.allow(quantity) or not plan.seats.ladder:
        return price
    step = prices.for_seats(plan.seats.ladder, quantity)
    if step is None:
        return price  # its own bounds say how many it is sold with
    if step.contact_sales:
        raise ChangeRefused(
            f"{quantity:,} seats are {step.name}, which is agreed with our sales team. Write to {_sales()}.",
            way_out=WayOut.SALES,
        )
    other = step.price_every(price.interval)
    if other is None:
        raise ChangeRefused(
            f"{step.name} is not sold by the {price.interval}. Choose it from the price list.",
            way_out=WayOut.PLANS,
        )
    return other


def _check_standing(rights: Entitlements, subscription: Subscription) -> None:
    assert rights.standing is not None
    support = catalog.current().company.support_email
    if rights.is_blocked:
        raise ChangeRefused(f"This account is on hold. Write to {support}.", way_out=WayOut.SUPPORT)
    if PlanChange.objects.filter(account=rights.account, state=PlanChange.State.WAITING).exists():
        raise ChangeRefused(
            "A change of your plan waits for its payment to be confirmed. Confirm it or call it off first.",
            way_out=WayOut.CALL_OFF,
        )
    match rights.standing.reason:
        case "active" | "trialing":
            pass
        case "canceling" | "trial_canceling" if subscription.is_fixed_term:
            pass  # nobody canceled; how it is paid refuses below
        case "past_due_in_grace" | "past_due" | "unpaid":
            raise ChangeRefused(
                "A payment is missing. Pay the open invoice first; then the plan can be changed.",
                way_out=WayOut.PAY,
            )
        case "incomplete":
            raise ChangeRefused(
                "The first payment is not finished yet. Finish it first; then the plan can be changed.",
                way_out=WayOut.PAY,
            )
        case "canceling" | "trial_canceling":
            raise ChangeRefused(
                "Your plan is set to end. Keep it first; then it can be changed.", way_out=WayOut.RESUME
            )
        case "paused":
            raise ChangeRefused(
                "The trial is over and there is no card to charge. Add a card first.", way_out=WayOut.CARD
            )
        case "collection_paused" | "pausing" | "on_pause":
            raise ChangeRefused(
                "Your plan is paused. Go on with it first; then it can be changed.", way_out=WayOut.GO_ON
            )
        case "renewing" | "trial_turning":
            raise ChangeRefused(
                "Your plan is being renewed just now. Try again in an hour.", way_out=WayOut.LATER
            )
        case _:
            raise ChangeRefused(
                f"Your plan cannot be changed here at the moment. Write to {support}.", way_out=WayOut.SUPPORT
            )
    if subscription.needs_review or subscription.plan_key not in catalog.current().plans:
        raise ChangeRefused(
            f"Your plan is being looked at by our team. Write to {support} to change it.",
            way_out=WayOut.SUPPORT,
        )
    if subscription.collection_method != "charge_automatically":
        # Stripe holds no pending update for what is paid by invoice:
        # https://docs.stripe.com/billing/subscriptions/pending-updates#before-you-begin
        raise ChangeRefused(
            f"You pay by invoice. Write to {_sales()} to change the plan.", way_out=WayOut.SALES
        )


def _check_offer(wish: Wish) -> None:
    plan, price = wish.plan, wish.price
    is_own = price == wish.price_before
    if plan.contact_sales:
        raise ChangeRefused(
            f"{plan.name} is agreed with our sales team. Write to {_sales()}.", way_out=WayOut.SALES
        )
    # Who has a retired plan may still buy a seat for it.
    if not is_own and (plan.retired or price not in (plan.price_every(price.interval), *plan.base_prices)):
        raise ChangeRefused(f"{plan.name} is not sold this way any more.")
    if not plan.suits(wish.account.kind):
        other = "an organization" if plan.audience == "organization" else "one person"
        raise ChangeRefused(f"{plan.name} is for {other}. Switch the account at the top of the page first.")
    if price.currency != wish.subscription.currency:
        raise ChangeRefused(
            f"You pay in {wish.subscription.currency.upper()}, and {plan.name} is sold in "
            f"{price.currency.upper()}. Choose a price in your currency."
        )
    _check_seats(wish)
    if is_own and wish.quantity == wish.subscription.quantity:
        raise ChangeRefused("You have exactly this already.")


def _check_seats(wish: Wish) -> None:
    plan, quantity = wish.plan, wish.quantity
    if plan.seats is None or not wish.price.per_seat:
        if quantity != 1:
            raise ChangeRefused(f"{plan.name} is sold once per account, not by the seat.")
        return
    if plan.seats.follow_members:
        _check_following(wish)
    elif not plan.seats.allow(quantity):
        top = f" to {plan.seats.max:,}" if plan.seats.max is not None else " or more"
        raise ChangeRefused(
            f"{plan.name} comes with {plan.seats.min:,}{top} seats. {_other_numbers(plan, quantity)}",
            way_out=WayOut.SEATS if wish.plan.key == wish.before.key else WayOut.PLANS,
        )
    if quantity > MOST_SEATS:
        raise ChangeRefused(
            f"For more than {MOST_SEATS:,} seats write to {_sales()}: there is a better price.",
            way_out=WayOut.SALES,
        )


def _other_numbers(plan: Plan, quantity: int) -> str:
    """Which number to choose instead: fewer than this plan's may still be another step of its ladder."""
    assert plan.seats is not None
    steps = [one for one in catalog.current().for_sale() if one.seats and plan.seats.ladder]
    ladder = [one.seats.min for one in steps if one.seats and one.seats.ladder == plan.seats.ladder]
    if ladder and quantity < min(ladder) < plan.seats.min:
        lowest = catalog.current().for_seats(plan.seats.ladder, min(ladder))
        return f"The fewest there are: {min(ladder):,}, with {lowest.name}." if lowest else ""
    return "Choose another number." if plan.seats.max is None else "Choose a number in between."


def _check_following(wish: Wish) -> None:
    """Nobody chooses the number: it is that of the members."""
    assert wish.plan.seats is not None
    if wish.is_only_seats:
        raise ChangeRefused(
            f"The seats of {wish.plan.name} follow your members: invite or remove somebody, and they are right.",
            way_out=WayOut.MEMBERS,
        )
    members = membership.wanted(wish.account, wish.plan)
    if wish.quantity != members or (wish.plan.seats.max is not None and members > wish.plan.seats.max):
        raise ChangeRefused(
            f"{wish.plan.name} is paid for each member, which makes {members} seats for you"
            + (f"; it is sold with at most {wish.plan.seats.max}." if wish.plan.seats.max else "."),
            way_out=WayOut.MEMBERS,
        )


def _check_room(wish: Wish, *, wall: datetime) -> None:
    """Nobody is put out by a change: who would have no place is named, and whoever asks makes room first."""
    room = wish.quantity if wish.price.per_seat and wish.plan.seats else wish.plan.limits.get(seats.MEMBERS)
    if room is None or wish.account.kind == Account.Kind.PERSONAL:
        return
    holders = seats.holders(wish.account, now=wall)
    if len(holders) <= room:
        return
    shown = ", ".join(holders[:10]) + (f" and {len(holders) - 10} more" if len(holders) > 10 else "")
    what = "seats are" if wish.price.per_seat else "places are"
    raise ChangeRefused(
        f"{len(holders)} {what} in use, and {room} would be left. Remove somebody, withdraw an invitation or "
        f"make somebody a guest first. In use: {shown}.",
        way_out=WayOut.MEMBERS,
    )


def _check_pace(account: Account, *, now: datetime) -> None:
    if PlanChange.objects.filter(account=account).tried(now=now).count() >= TRIES_A_DAY:
        raise ChangeRefused(
            f"A change was tried {TRIES_A_DAY} times in the last 24 hours, which is the most. Try again tomorrow; "
            "nothing was changed.",
            way_out=WayOut.LATER,
        )
    if PlanChange.objects.filter(account=account).counted(now=now).count() >= CHANGES_A_DAY:
        raise ChangeRefused(
            f"The plan was changed {CHANGES_A_DAY} times in the last 24 hours, which is the most. Try again tomorrow.",
            way_out=WayOut.LATER,
        )


def _sales() -> str:
    company = catalog.current().company
    return company.sales_email or company.support_email
