"""What a delivery comes to, at the price its units had when they were used."""

from __future__ import annotations

from django.db.models import Sum

from billing import catalog
from billing.catalog import Price
from billing.models import Subscription
from usage.models import MeterDelivery


def price_of(delivery: MeterDelivery) -> Price | None:
    """The price the account paid for a unit when it was used, as far as the price list still has it."""
    bought = Subscription.objects.filter(account_id=delivery.account_id, started_at__lte=delivery.occurred_at)
    for subscription in bought.order_by("-started_at", "-pk").prefetch_related("items"):
        # In the currency it was bought in: that is what its acts cost, and what Stripe bills the customer in.
        prices = catalog.current().in_currency(subscription.currency)
        plan = prices.plans.get(subscription.plan_key)
        paid = [prices.find_price(item.lookup_key) for item in subscription.items.all() if item.is_metered]
        for price in (*paid, *(plan.metered_prices if plan else ())):
            if price is None or price.currency != subscription.currency:
                continue  # not sold in that any more: what was paid is only known at Stripe
            if price.meter and prices.feature(price.meter).meter_event_name == delivery.event_name:
                return price
    return None


def amount(delivery: MeterDelivery, price: Price) -> int:
    """In minor units of the price's currency: what the receipts of its acts said. Acts from before costs were kept
    are taken at `price`.
    """
    cost: int | None = delivery.events.aggregate(cost=Sum("record__cost"))["cost"]
    return cost or price.charge(delivery.units)
