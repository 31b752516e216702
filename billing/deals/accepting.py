"""An offer is accepted: once, whoever presses how often, and one subscription paid by invoice comes of it."""

from __future__ import annotations

from datetime import datetime

from billing import catalog
from billing.deals import agreed, following, prices, replacing
from billing.lifecycle import checkout, customers, subscriptions
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Offer
from billing.stripe import gateway, shapes, truth
from billing.stripe.shapes import Doc

Busy = subscriptions.Busy


class CannotAccept(Exception):
    """It is not to be had any more, or not now. The text is for the customer: why, and what to do next."""


def accept(*, offer: Offer, name: str, email: str, now: datetime) -> Offer:
    """Begin what is offered, and keep who said yes. `now` is the account's time. Safe twice and from two windows.

    A plan the account pays already becomes this one: what is left of it is credited on the first invoice, and a
    contract of the same plan and rhythm goes on from its next period at the new price. After a lost answer it is
    carried through by the next sync. Raises CannotAccept, Busy and the gateway's errors.
    """
    account = offer.account
    _check_open(offer, now=now)
    # A page of the till that is still open would sell a second plan beside this one.
    checkout.close_tills(account=account)
    with subscriptions.acting(account=account, purpose="offer") as held:
        offer.refresh_from_db()
        _check_open(offer, now=now)
        if offer.state == Offer.State.ACCEPTED:
            return offer
        try:
            checkout.check_standing(held.customer)
        except checkout.NotForSale as refusal:
            raise CannotAccept(str(refusal)) from None
        with held.saving():
            Offer.objects.filter(pk=offer.pk).update(accepted_name=name, accepted_email=email)
        try:
            subscription = _begun(offer, held) or _begin(offer, held, now=now)
        except replacing.Ended:
            raise CannotAccept(
                "Your plan ended in this very moment, and nothing was charged. Accept once more to begin this one."
            ) from None
        except (gateway.InvalidRequest, replacing.Refused) as refusal:
            raise CannotAccept(
                f"Stripe did not accept it: {getattr(refusal, 'message', refusal)} Nothing was charged, and your plan "
                "is as it was."
            ) from None
        held.renew()
        _write_invoice(subscription)
        with held.saving():
            following.settle(subscription, account=account, now=now)
    offer.refresh_from_db()
    return offer


def _check_open(offer: Offer, *, now: datetime) -> None:
    sales = catalog.current().company.sales_email or catalog.current().company.support_email
    if offer.state == Offer.State.WITHDRAWN:
        raise CannotAccept(f"This offer was taken back. Write to {sales} for a new one.")
    if offer.state == Offer.State.OPEN and not offer.is_open(now):
        raise CannotAccept(
            f"This offer ended on {offer.open_until:%d %B %Y}. Write to {sales} for a new one."
        )


def _begun(offer: Offer, held: Held) -> Doc | None:
    """What an earlier press made, whose answer never reached a commit."""
    if not held.customer.stripe_customer_id:
        return None
    found = truth.subscriptions_at_stripe(held.customer.stripe_customer_id)
    held.renew()
    return next((one for one in found if (one["metadata"] or {}).get(OFFER_KEY) == str(offer.pk)), None)


def _begin(offer: Offer, held: Held, *, now: datetime) -> Doc:
    customer = customers.ensure(account=offer.account, held=held)
    assert customer.stripe_customer_id
    live = [one for one in truth.subscriptions_at_stripe(customer.stripe_customer_id) if truth.is_live(one)]
    held.renew()
    for one in live:
        if one["status"] == "incomplete":
            gateway.delete(f"/v1/subscriptions/{one['id']}")
    running = next((one for one in live if one["status"] != "incomplete"), None)
    if running is not None and running["status"] not in ("active", "trialing"):
        raise CannotAccept(
            "A payment of the present plan is missing. Pay the open invoice first, then accept."
        )
    price = prices.at_stripe(offer, held)
    if running is not None:
        return replacing.replace(running, offer, price, held=held, now=now)
    return gateway.post(
        "/v1/subscriptions",
        {
            "customer": customer.stripe_customer_id,
            "items": [{"price": price, "quantity": offer.seats}],
            "proration_behavior": "none",
            **agreed.ends(offer, now),
            **agreed.payment(offer),
            **({"trial_period_days": offer.trial_days} if offer.trial_days else {}),
        },
        idempotency_key=f"offer:{offer.pk}:{held.token}",
    )


def _write_invoice(subscription: Doc) -> None:
    """Stripe keeps an invoice that is sent as a draft for an hour; who has just agreed wants to see it."""
    name = shapes.id_of(subscription.get("latest_invoice"))
    if not name or gateway.get(f"/v1/invoices/{name}")["status"] != "draft":
        return
    try:
        gateway.post(f"/v1/invoices/{name}/finalize", idempotency_key=f"finalize:{name}")
    except gateway.InvalidRequest:
        if gateway.get(f"/v1/invoices/{name}")["status"] == "draft":
            raise
