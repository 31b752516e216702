"""What an offer agrees, fixed when it is made: its price, its end, and how it is paid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from billing import catalog
from billing.anchors import months_after
from billing.catalog import Price, Tier
from billing.deals.following import CLOCKS_DIFFER
from billing.lifecycle import customers
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Offer


def fixed(listed: Price) -> dict[str, Any]:
    """What the price list says today, for the offer's row: it is what was shown, whatever the list says tomorrow."""
    return {
        "amount": listed.amount,
        "interval_count": listed.interval_count,
        "tiers": [[tier.up_to, tier.amount, tier.flat] for tier in listed.tiers],
        "tiers_mode": listed.tiers_mode,
    }


def price(offer: Offer) -> Price:
    """The price that was offered."""
    said = offer.listed
    if offer.amount is None and not said:  # made before what the list said was kept
        return catalog.current().price(offer.lookup_key)
    return Price(
        lookup_key=offer.lookup_key,
        plan_key=offer.plan_key,
        amount=said["amount"] if offer.amount is None else offer.amount,
        currency=offer.currency,
        interval="year" if offer.interval == Offer.Interval.YEAR else "month",
        interval_count=said.get("interval_count", 1),
        per_seat=True,
        tiers=tuple(Tier(*tier) for tier in said.get("tiers", ())),
        tiers_mode=said.get("tiers_mode"),
    )


def total(offer: Offer) -> int:
    """Minor units per period, before tax."""
    return price(offer).charge(offer.seats)


def ends_at(offer: Offer, begins: datetime) -> datetime | None:
    """The end of the last period of a contract that begins then; None when it goes on."""
    if offer.periods is None:
        return None
    return months_after(begins, begins, offer.periods * (12 if offer.interval == "year" else 1))


def ends(offer: Offer, begins: datetime) -> dict[str, int]:
    """`ends_at` in Stripe's words, after the free days."""
    last = ends_at(offer, begins + timedelta(days=offer.trial_days))
    return {"cancel_at": int((last - CLOCKS_DIFFER).timestamp())} if last else {}


def payment(offer: Offer) -> dict[str, Any]:
    """How it is paid, and whose it is.
    https://docs.stripe.com/api/subscriptions/create#create_subscription-collection_method
    """
    return {
        "collection_method": "send_invoice",
        "days_until_due": offer.days_until_due,
        "metadata": {customers.ACCOUNT_KEY: str(offer.account_id), OFFER_KEY: str(offer.pk)},
        **({"automatic_tax": {"enabled": True}} if settings.STRIPE_AUTOMATIC_TAX else {}),
    }
