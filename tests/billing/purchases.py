"""Customers and purchases at the simulator for the tests behind the letter box; no page is walked through."""

from datetime import UTC, datetime
from typing import Any

import stripe
from django.conf import settings

from accounts.models import Account
from billing import catalog
from billing.lifecycle import customers, lease


def at_stripe() -> stripe.StripeClient:
    """Stripe's SDK, as the customer's and Stripe's own side use it: not through our gateway."""
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        stripe_version=settings.STRIPE_API_VERSION,
        base_addresses={"api": settings.STRIPE_API_BASE},
    )


def known(account: Account) -> str:
    """Make the account known at Stripe; answers its customer's id."""
    with lease.hold(account=account, purpose="test", wait_seconds=5) as held:
        customer_id = customers.ensure(account=account, held=held).stripe_customer_id
    assert customer_id
    return customer_id


def buy(account: Account, lookup_key: str, *, quantity: int = 1, card: str = "pm_card_visa") -> Any:
    """Subscribe the account to a price of the catalog with a test card; answers Stripe's subscription."""
    client, customer = at_stripe(), known(account)
    method = client.v1.payment_methods.attach(card, {"customer": customer})
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    return client.v1.subscriptions.create(
        {
            "customer": customer,
            "items": [{"price": price_id(lookup_key), "quantity": quantity}],
            "metadata": {customers.ACCOUNT_KEY: str(account.pk)},
        }
    )


def price_id(lookup_key: str) -> str:
    """The id of a price of the catalog at Stripe, made when nobody has pushed the catalog yet."""
    client = at_stripe()
    found = client.v1.prices.list({"lookup_keys": [lookup_key]}).data
    if found:
        return found[0].id
    price = catalog.current().price(lookup_key)
    product = client.v1.products.create({"name": catalog.current().plan(price.plan_key).name})
    made = client.v1.prices.create(
        {
            "product": product.id,
            "lookup_key": lookup_key,
            "currency": price.currency,
            "unit_amount": price.amount,
            "recurring": {"interval": price.interval or "month", "interval_count": price.interval_count},
        }
    )
    return made.id


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
