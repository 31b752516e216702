"""An offer is accepted: once, whoever presses how often, and one subscription paid by invoice comes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from billing import catalog
from billing.deals import following, offers
from billing.deals.following import CLOCKS_DIFFER
from billing.lifecycle import checkout, customers, schedules, subscriptions
from billing.lifecycle.lease import Held
from billing.lifecycle.projection import OFFER_KEY
from billing.models import Offer
from billing.signals import subscription_about_to_change
from billing.stripe import gateway, shapes, truth
from billing.stripe.catalog_push.diff import PLAN_KEY
from billing.stripe.shapes import Doc

Busy = subscriptions.Busy


class CannotAccept(Exception):
    """It is not to be had any more, or not now. The text is for the customer: why, and what to do next."""


def accept(*, offer: Offer, name: str, email: str, now: datetime) -> Offer:
    """Begin what is offered, and keep who said yes. `now` is the account's time. Safe twice and from two windows.

    A plan the account pays already becomes this one: what is left of it is credited on the first invoice, and a
    contract of the same plan and rhythm goes on from its next period at the new price. Raises CannotAccept, Busy and
    the gateway's errors.
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
        except gateway.InvalidRequest as refusal:
            raise CannotAccept(f"Stripe did not accept it: {refusal.message} Nothing was charged.") from None
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
    price = _price(offer, held)
    if running is None:
        return gateway.post(
            "/v1/subscriptions",
            {
                "customer": customer.stripe_customer_id,
                "items": [{"price": price, "quantity": offer.seats}],
                "proration_behavior": "none",
                **_ends(offer, now),
                **_terms(offer),
                **({"trial_period_days": offer.trial_days} if offer.trial_days else {}),
            },
            idempotency_key=f"offer:{offer.pk}:{held.token}",
        )
    return _replace(running, offer, price, held, now=now)


def _replace(running: Doc, offer: Offer, price: str, held: Held, *, now: datetime) -> Doc:
    """The subscription the account has becomes the offered one: in one call, so there are never two or none."""
    if running["status"] not in ("active", "trialing"):
        raise CannotAccept(
            "A payment of the present plan is missing. Pay the open invoice first, then accept."
        )
    schedules.let_go(held)
    subscription_about_to_change.send(type(held.customer), account=offer.account, now=now)
    items = shapes.items(running)
    paid_until = shapes.item_period(items[0], running)[1]
    renews = _is_renewal(running, items, offer) and paid_until is not None
    path = f"/v1/subscriptions/{running['id']}"
    # First how it is paid, so that no card is charged for what an invoice was agreed for. At Stripe the two ways to end
    # exclude each other, and either is over with the new contract.
    on = {"cancel_at_period_end": False} if running["cancel_at_period_end"] else {"cancel_at": ""}
    gateway.post(
        path,
        {"collection_method": "send_invoice", "days_until_due": offer.days_until_due}
        | (on if running["cancel_at"] or running["cancel_at_period_end"] else {}),
        idempotency_key=f"offer_on:{offer.pk}:{held.token}",
    )
    held.renew()
    how: dict[str, Any] = (
        {"proration_behavior": "none"}
        if renews
        else {"proration_behavior": "always_invoice", "billing_cycle_anchor": "now", "trial_end": "now"}
    )
    return gateway.post(
        path,
        {
            "items": [
                {"id": items[0]["id"], "price": price, "quantity": offer.seats},
                *({"id": item["id"], "deleted": True} for item in items[1:]),
            ],
            **how,
            **_ends(offer, paid_until if renews and paid_until else now),
            **_terms(offer),
        },
        idempotency_key=f"offer:{offer.pk}:{held.token}",
    )


def _is_renewal(running: Doc, items: list[Any], offer: Offer) -> bool:
    """The next contract of a customer who has one: same rhythm, already paid by invoice."""
    recurring = items[0]["price"]["recurring"] or {}
    return (
        bool((running["metadata"] or {}).get(OFFER_KEY))
        and running["status"] == "active"
        and len(items) == 1
        and (recurring.get("interval"), recurring.get("interval_count")) == (offer.interval, 1)
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


def _terms(offer: Offer) -> dict[str, Any]:
    """https://docs.stripe.com/api/subscriptions/create#create_subscription-collection_method"""
    return {
        "collection_method": "send_invoice",
        "days_until_due": offer.days_until_due,
        "metadata": {customers.ACCOUNT_KEY: str(offer.account_id), OFFER_KEY: str(offer.pk)},
        **({"automatic_tax": {"enabled": True}} if settings.STRIPE_AUTOMATIC_TAX else {}),
    }


def _ends(offer: Offer, begins: datetime) -> dict[str, int]:
    first = begins + timedelta(days=offer.trial_days)
    ends = offers.ends_at(offer, first)
    return {"cancel_at": int((ends - CLOCKS_DIFFER).timestamp())} if ends else {}


def _price(offer: Offer, held: Held) -> str:
    """Its id at Stripe: the price list's, or one made for this offer that says itself which plan it is for."""
    if offer.lookup_key:
        found = list(
            gateway.pages("/v1/prices", {"lookup_keys": [offer.lookup_key], "active": True}, at_most=1)
        )
        listed = catalog.current().price(offer.lookup_key)
        if not found or found[0].get("unit_amount") not in (None, listed.amount):
            raise CannotAccept("This price is being changed just now. Try again in a few minutes.")
        return str(found[0]["id"])
    made = gateway.post(
        "/v1/prices",
        {
            "product": _product(offer),
            "currency": offer.currency,
            "unit_amount": offer.amount,
            "recurring": {"interval": offer.interval},
            "metadata": {PLAN_KEY: offer.plan_key, OFFER_KEY: str(offer.pk)},
        },
        idempotency_key=f"offer_price:{offer.pk}",
    )
    held.renew()
    return str(made["id"])


def _product(offer: Offer) -> str:
    """The product of agreed prices, apart from the price list's, which a push of the catalog may archive."""
    prices = catalog.current()
    name = f"tallyhouse_{prices.key}_agreed_{offer.plan_key}"
    try:
        return str(gateway.get(f"/v1/products/{name}")["id"])
    except gateway.NotFound:
        plan = prices.plan(offer.plan_key)
        made = gateway.post(
            "/v1/products",
            {"id": name, "name": f"{prices.name} {plan.name}", "metadata": {PLAN_KEY: plan.key}},
            idempotency_key=f"product:{name}",
        )
        return str(made["id"])
