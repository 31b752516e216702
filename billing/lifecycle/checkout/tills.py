"""Pages at which something can be paid: which is open, closed before another, and whether one was paid meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account
from billing.catalog import Price
from billing.lifecycle.checkout.refusals import AlreadySubscribed
from billing.lifecycle.lease import Held
from billing.lifecycle.lease import LeaseTaken as Busy
from billing.models import CheckoutIntent, Customer
from billing.stripe import gateway, truth

# A session that is about to expire is no use to somebody who is about to look for their card.
WORTH_RETURNING = timedelta(minutes=15)


def waiting(account: Account) -> CheckoutIntent | None:
    """The page that is being opened or open for this account; the database allows one."""
    return CheckoutIntent.objects.filter(
        account=account, state__in=[CheckoutIntent.State.OPENING, CheckoutIntent.State.OPEN]
    ).first()


def is_same(
    intent: CheckoutIntent, price: Price, quantity: int, promotion_code: str, currency: str, now: datetime
) -> bool:
    """Whether that page sells just this, and stays open for a while."""
    return (
        intent.state == CheckoutIntent.State.OPEN
        and intent.price_lookup_key == price.lookup_key
        and intent.quantity == quantity
        and intent.promotion_code == promotion_code
        and intent.currency == currency
        and now + WORTH_RETURNING < intent.expires_at
    )


def is_open_at_stripe(intent: CheckoutIntent) -> bool:
    """Raises the gateway's errors."""
    try:
        session = gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")
    except gateway.NotFound:
        return False
    return bool(session["status"] == "open")


def expire(customer: Customer, held: Held, *, now: datetime) -> None:
    """Close every older page of this customer: what Stripe lists counts, a crash may have kept one from our rows."""
    sessions = gateway.pages(
        "/v1/checkout/sessions", {"customer": customer.stripe_customer_id, "status": "open"}
    )
    for session in list(sessions):
        held.renew()
        try:
            gateway.post(
                f"/v1/checkout/sessions/{session['id']}/expire", idempotency_key=f"expire:{session['id']}"
            )
        except gateway.InvalidRequest as error:
            # Paid or expired in this very moment; whether it became a subscription is looked at next.
            if error.code == "resource_missing":
                raise
    intent = waiting(customer.account)
    if intent is not None:
        became = _became(intent, now=now)
        with held.saving():
            CheckoutIntent.objects.filter(pk=intent.pk).update(**became)


def _became(intent: CheckoutIntent, *, now: datetime) -> dict[str, Any]:
    """What Stripe says of a page that was to be closed: it may have been paid in another tab just before."""
    status = "expired"  # what was never opened cannot be paid
    if intent.stripe_session_id:
        try:
            status = gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")["status"]
        except gateway.NotFound:
            status = "expired"
    match status:
        case "complete":
            return {"state": CheckoutIntent.State.COMPLETE, "completed_at": now}
        case "expired":
            return {"state": CheckoutIntent.State.EXPIRED}
        case _:
            raise Busy("The payment page of this account is in use in another window.")


def check_nothing_bought(customer: Customer, held: Held, *, start_over: bool = False) -> None:
    """Stripe is asked, not our rows: they may be a moment behind. With `start_over` a first payment that was
    begun and never finished is given up; without, it belongs to a page that is still open.
    """
    assert customer.stripe_customer_id
    held.renew()
    for subscription in truth.subscriptions_at_stripe(customer.stripe_customer_id):
        if subscription["status"] == "incomplete":
            if start_over:
                gateway.delete(f"/v1/subscriptions/{subscription['id']}")
        elif truth.is_live(subscription):
            raise AlreadySubscribed("You already have a plan. Change it in your billing settings.")
