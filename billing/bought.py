"""What somebody has, in one line: "Team, monthly, 5 seats"; of a contract, what was agreed."""

from __future__ import annotations

from billing import catalog, money, pricing
from billing.deals import agreed
from billing.models import Subscription


def name(subscription: Subscription) -> str:
    """Plan, rhythm and seats."""
    plan = catalog.current().plans.get(subscription.plan_key)
    said = terms(subscription)
    return f"{plan.name if plan else subscription.plan_key}{f', {said}' if said else ''}"


def terms(subscription: Subscription) -> str:
    """Rhythm and seats: "yearly, 12 seats", "by the token"; empty for a price that nobody here knows."""
    offer = subscription.offer
    price = agreed.price(offer) if offer else pricing.price_of(subscription)
    if price is None:
        return ""
    # One seat of a contract is one price for everybody.
    counts_seats = subscription.quantity > 1 if offer else price.per_seat
    seats = f", {subscription.quantity:,} seat{'' if subscription.quantity == 1 else 's'}"
    return money.rhythm(price) + (seats if counts_seats else "")
