"""Money for units paid one by one: sums a customer named, the budget, and the plan that would cost less."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import Account, Member
from billing import catalog, entitlements
from billing.catalog import Plan
from billing.entitlements import Entitlements
from usage.alerts import telling
from usage.alerts.choosing import Wishes
from usage.metering import spending
from usage.models import Budget, Crossing


@dataclass(frozen=True)
class Cheaper:
    """A plan that would have cost less than what was spent. Amounts are minor units of `currency` a month."""

    plan: Plan
    amount: int
    spent: int
    currency: str


def see(account: Account, wish: Wishes, *, now: datetime) -> None:
    """Record and tell what the billing month's spending has reached. `now` is the account's time."""
    rights = entitlements.of(account, now=now)
    spent = spending.spent(rights)
    if spent <= 0:
        return
    _see_sums(rights, spent, wish)
    budget = Budget.objects.filter(account=account).first()
    if budget is not None and is_used_up(rights, budget, spent):
        with transaction.atomic():
            telling.budget(rights, budget, spent=spent)
    better = cheaper(rights, spent=spent)
    if better is not None:
        with transaction.atomic():
            telling.cheaper(rights, better)


def cheaper(rights: Entitlements, *, spent: int | None = None) -> Cheaper | None:
    """The cheapest plan a month of which costs less than what was `spent` on units this month, and which includes
    them all; None when there is none.
    """
    spent = spending.spent(rights) if spent is None else spent
    if spent <= 0:
        return None
    paid = {feature: spending.units_paid(rights, feature) for feature in spending.prices(rights)}
    used = {feature: units for feature, units in paid.items() if units}
    offers = [
        Cheaper(plan=plan, amount=amount, spent=spent, currency=rights.currency)
        for plan in catalog.current().in_currency(rights.currency).for_sale()
        if plan.key not in {had.key for had in rights.plans}
        and plan.suits(rights.account.kind)
        and _includes(plan, used)
        and (amount := _a_month(plan, rights)) is not None
        and amount < spent
    ]
    return min(offers, key=lambda offer: offer.amount, default=None)


def is_used_up(rights: Entitlements, budget: Budget, spent: int) -> bool:
    """Whether nothing that is paid by the unit fits into the budget any more."""
    prices = spending.prices(rights)
    return bool(prices) and all(
        spent - price.charge(paid) + price.charge(paid + 1) > budget.amount
        for paid, price in ((spending.units_paid(rights, key), price) for key, price in prices.items())
    )


def _see_sums(rights: Entitlements, spent: int, wish: Wishes) -> None:
    month = spending.month(rights)
    named = {
        "kind": Crossing.Kind.SPEND,
        "account": rights.account,
        "feature": "",
        "period_start": month.start,
        "limit_units": 0,
    }
    known = set(Crossing.objects.filter(**named).values_list("threshold", flat=True))
    new = [amount for amount in wish.amounts if amount <= spent and amount not in known]
    if not new:
        return
    highest = max(new)
    is_news = highest > max(known, default=0)
    with transaction.atomic():
        for amount in new:
            _, is_new = Crossing.objects.get_or_create(
                **named,
                threshold=amount,
                defaults={
                    "period_end": month.end,
                    "crossed_at": rights.now,
                    "is_told": is_news and amount == highest,
                },
            )
            if is_new and is_news and amount == highest:
                telling.spend(rights, threshold=amount, spent=spent)


def _includes(plan: Plan, used: dict[str, int]) -> bool:
    """Whether the plan's month gives so many units without charging for each."""
    for feature, units in used.items():
        allowance = plan.allowances.get(feature)
        if allowance is None or allowance.per != "month":
            return False
        if allowance.quantity is not None and allowance.quantity < units:
            return False
    return bool(used)


def _a_month(plan: Plan, rights: Entitlements) -> int | None:
    """What the plan costs this account a month, seats for all its people among it; None when it is not sold so."""
    price = next((price for price in plan.base_prices if price.interval == "month"), None)
    if price is None or plan.contact_sales or price.currency != rights.currency:
        return None
    people = Member.objects.filter(account=rights.account).exclude(role=Member.Role.GUEST).count()
    seats = max(people, plan.seats.min if plan.seats else 1) if price.per_seat else 1
    return price.amount * seats // price.interval_count
