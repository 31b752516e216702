"""What comes in each month by what is bought now, and who has left: from our own rows, for the page of operations."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from django.db.models import Count, Exists, OuterRef, Q

from billing import catalog
from billing.deals import agreed
from billing.models import Offer, Subscription

WITHIN = timedelta(days=30)


@dataclass(frozen=True)
class Churn:
    """Of the accounts that paid 30 days ago, those that pay no more; and the plans that are set to end."""

    left: int
    paid_then: int
    ending: int

    @property
    def percent(self) -> float:
        return 100 * self.left / self.paid_then if self.paid_then else 0.0


def monthly() -> dict[str, int]:
    """Minor units a month by currency, years as twelfths and quarters as thirds: at the list's prices or as agreed,
    without units paid one by one, discounts and tax. Who is in trial or on pause, or has never paid, is not in it.
    """
    running = Subscription.objects.live().filter(
        status__in=("active", "past_due"), pause_collection="", paused_from=None
    )
    running = running.filter(first_paid_at__isnull=False)
    sums: defaultdict[str, Fraction] = defaultdict(Fraction)
    alike = running.filter(offer=None).values_list("price_lookup_key", "currency", "quantity")
    for lookup_key, currency, quantity, number in alike.annotate(Count("pk")).order_by():
        price = catalog.current().find_price(lookup_key)
        if price is not None and price.meter is None and price.is_sold_in(currency):
            charge = price.in_currency(currency).charge(quantity)
            sums[currency] += Fraction(charge * number, price.months)
    for offer in Offer.objects.filter(subscriptions__in=running).distinct():
        sums[offer.currency] += Fraction(agreed.total(offer), agreed.price(offer).months)
    return {currency: round(amount) for currency, amount in sums.items()}


def churn(*, now: datetime) -> Churn:
    """By accounts: who goes on with another plan has not left. `now` is the wall's."""
    since = now - WITHIN
    then = Subscription.objects.filter(first_paid_at__lte=since).exclude(ended_at__lte=since)
    live = Subscription.objects.live().filter(account=OuterRef("account"))
    paid_then = then.values("account").distinct().count()
    left = then.filter(~Exists(live)).values("account").distinct().count()
    is_ending = Q(cancel_at_period_end=True) | Q(cancel_at__isnull=False)
    ending = Subscription.objects.live().filter(is_ending).count()
    return Churn(left=left, paid_then=paid_then, ending=ending)
