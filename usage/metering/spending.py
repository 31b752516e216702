"""Money for units paid one by one: what a unit costs the account, what it spent this month, what its budget allows."""

from __future__ import annotations

from django.db.models import Sum

from billing.catalog import Price
from billing.entitlements import Entitlements
from usage import periods
from usage.models import Budget, Reservation, UsageCounter
from usage.periods import Period


def prices(rights: Entitlements) -> dict[str, Price]:
    """The price of a unit by feature, for everything the account pays by the unit."""
    bought = {item.lookup_key for item in rights.subscription.items.all()} if rights.subscription else set()
    found: dict[str, Price] = {}
    for plan in rights.plans:
        for price in plan.metered_prices:
            assert price.meter is not None
            if rights.is_metered(price.meter) and (price.meter not in found or price.lookup_key in bought):
                found[price.meter] = price
    return found


def month(rights: Entitlements) -> Period:
    """The billing month at the account's time: budgets are for it, also when the plan is paid by the year."""
    return periods.containing(now=rights.now, per="month", anchor=rights.anchor)


def spent(rights: Entitlements) -> int:
    """Minor units that the account's paid units of this billing month cost so far."""
    billed = _billed(rights)
    return sum(price.charge(billed.get(feature, 0)) for feature, price in prices(rights).items())


def paid_limit(rights: Entitlements, feature: str, *, counter: UsageCounter | None) -> int | None:
    """Units of `feature` that may be paid for in `counter`'s window; None: as many as are used.

    The budget is the account's, so what its other features and windows spent this month is taken off. Exact while
    nobody else spends: several features in one budget need the caller to hold `drawing`'s lock on spending.
    """
    known = prices(rights)
    price = known.get(feature)
    if price is None:
        return 0
    budget = Budget.objects.filter(account=rights.account).first()
    if budget is None:
        return None
    billed = _billed(rights)
    here = counter.billed if counter is not None and month(rights).contains(counter.period_start) else 0
    held = _held(rights)
    others = sum(known[key].charge(billed.get(key, 0) + held.get(key, 0)) for key in known if key != feature)
    affordable = units_for(price, budget.amount - others)
    return None if affordable is None else max(affordable - (billed.get(feature, 0) - here), 0)


def units_for(price: Price, money: int) -> int | None:
    """The most units that can be used one after the other before they cost more than `money`; None: any number."""
    if not price.tiers:
        return None if price.amount == 0 else max(money, 0) // price.amount
    low = 0
    for tier in price.tiers:
        if low and price.charge(low + 1) > money:
            return low
        if tier.up_to is not None and price.charge(tier.up_to) <= money:
            low = tier.up_to
            continue
        if tier.amount == 0:
            return None if price.charge(low + 1) <= money else low
        # Within a tier each unit costs the same.
        first = price.charge(low + 1)
        fits = 0 if first > money else 1 + (money - first) // tier.amount
        return low + fits if tier.up_to is None else min(low + fits, tier.up_to)
    return low


def units_paid(rights: Entitlements, feature: str) -> int:
    """Units of `feature` that are to be paid for in this billing month so far."""
    return _billed(rights).get(feature, 0)


def _billed(rights: Entitlements) -> dict[str, int]:
    """Paid units of this billing month by feature."""
    this = month(rights)
    rows = UsageCounter.objects.filter(
        account=rights.account, period_start__gte=this.start, period_start__lt=this.end, billed__gt=0
    )
    return dict(rows.values_list("feature").annotate(units=Sum("billed")).order_by())


def _held(rights: Entitlements) -> dict[str, int]:
    """Units set aside that will be paid for when they are settled, by feature."""
    rows = Reservation.objects.holding(rights.now).filter(account=rights.account, billed__gt=0)
    return dict(rows.values_list("feature").annotate(units=Sum("billed")).order_by())
