"""The currency an account pays in: its plan's, else the one Stripe keeps it to, else the price list's own."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db.models import Count

from billing import alerts, catalog
from billing.catalog import Catalog
from billing.models import Alert, Customer, Subscription, SubscriptionItem

WITHDRAWN = "currency_withdrawn"


def of(account_id: uuid.UUID) -> str:
    """What an account's metered units are priced in, and so every sum and budget of them. A price list in one currency
    is answered for without asking the database.
    """
    prices = catalog.current()
    if len(prices.known_currencies) == 1:
        return prices.currency
    customer = Customer.objects.filter(account=account_id).first()
    live = Subscription.objects.live().filter(account=account_id).order_by("pk").first()
    return price_list(live, customer).currency


def price_list(subscription: Subscription | None, customer: Customer | None) -> Catalog:
    """The price list as it is for who has these.

    Stripe bills a customer in the currency of the first purchase (https://docs.stripe.com/billing/customer#currency).
    """
    paid_in = (subscription.currency if subscription else "") or (customer.currency if customer else "")
    return catalog.current().in_currency(paid_in)


def withdrawn(prices: Catalog) -> list[str]:
    """A sentence for every price that customers pay in a currency in which `prices` does not have it: their pages and
    mails could not name what they pay. What was agreed with one customer is no price of the list.
    """
    paid = SubscriptionItem.objects.filter(subscription__is_live=True, subscription__offer=None)
    by_price = paid.values_list("lookup_key", "subscription__currency")
    sentences = []
    for lookup_key, code, number in by_price.annotate(Count("subscription", distinct=True)).order_by(
        "lookup_key", "subscription__currency"
    ):
        price = prices.find_price(lookup_key)
        if price is not None and not price.is_sold_in(code):
            many = "1 customer pays" if number == 1 else f"{number:,} customers pay"
            sentences.append(
                f'plans.{price.plan_key}: {many} "{lookup_key}" in {code.upper()}, and the price list does not have it '
                f"in {code.upper()} (any more). Write currencies = {{ {code} = … }} there with what they pay. To sell "
                "nothing more in it, keep the plan as it was with retired = true, and sell a new one."
            )
    return sentences


def tell_staff(*, now: datetime) -> int:
    """One alert with all of `withdrawn`, as long as it is so; answers how many sentences it has. For the sweeper: a
    subscription made in the Dashboard comes to this without any push. `now` is wall time.
    """
    sentences = withdrawn(catalog.current())
    if sentences:
        alerts.raise_alert(key=WITHDRAWN, kind=WITHDRAWN, message="\n".join(sentences), now=now)
    else:
        Alert.objects.filter(key=WITHDRAWN, resolved_at=None).update(resolved_at=now)
    return len(sentences)
