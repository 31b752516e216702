"""What Stripe says of an offer: a subscription that names it has come of it. Every sync comes here."""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Account
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Enquiry, Offer
from billing.stripe import shapes
from billing.stripe.shapes import Doc

# A contract is set to end a moment before its last period does, so that no invoice of a further one is written when
# our clock and Stripe's differ.
CLOCKS_DIFFER = timedelta(minutes=5)


def settle(subscription: Doc, *, account: Account, now: datetime) -> Offer | None:
    """The offer a subscription at Stripe came from, marked as accepted; None for all others.

    Called by every sync, so that a crash between Stripe's answer and our commit leaves nothing open. Writes.
    """
    key = (subscription.get("metadata") or {}).get(OFFER_KEY) or ""
    offer = (
        Offer.objects.filter(account=account, pk=int(key)).first()
        if key.isdigit() and len(key) < 18
        else None
    )
    if offer is None or offer.stripe_subscription_id == subscription["id"]:
        return offer
    ends = shapes.moment(subscription.get("cancel_at"))
    Offer.objects.filter(pk=offer.pk).exclude(state=Offer.State.ACCEPTED).update(
        state=Offer.State.ACCEPTED,
        accepted_at=now,
        until=ends + CLOCKS_DIFFER if ends else None,
        stripe_subscription_id=subscription["id"],
    )
    Enquiry.objects.filter(offers=offer).update(state=Enquiry.State.WON)
    offer.refresh_from_db()
    return offer
