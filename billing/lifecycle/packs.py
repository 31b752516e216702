"""Packs at the till: one payment on Stripe's page for units ahead; what was paid becomes credits in the next sync."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Account, User
from billing import alerts, catalog, entitlements
from billing.catalog import Pack
from billing.lifecycle import checkout, customers, subscriptions
from billing.lifecycle.checkout import Busy, CheckoutRefused, NotForSale, NotYours, Outcome
from billing.lifecycle.pack_grants import DAYS_KEY, FEATURE_KEY, PRIORITY_KEY, UNITS_KEY
from billing.models import CreditGrant
from billing.stripe import gateway
from billing.stripe.catalog_push.diff import PACK_KEY
from billing.stripe.shapes import id_of

__all__ = [
    "BadNumber",
    "Busy",
    "CheckoutRefused",
    "NotForSale",
    "NotNeeded",
    "NotYours",
    "Outcome",
    "complete",
    "start",
]

MOST_PACKS = 99


class BadNumber(CheckoutRefused):
    """Not a number of packs that is sold at once."""


class NotNeeded(CheckoutRefused):
    """The plan has no end of what the pack holds."""


def start(*, account: Account, pack: Pack, number: int, user: User, now: datetime) -> str:
    """Open Stripe's page for `number` of `pack`; answers where to send the browser. `now` is the account's time.

    Raises the CheckoutRefused kinds, Busy while another change is in progress, and the gateway's errors.
    """
    if not 1 <= number <= MOST_PACKS:
        raise BadNumber(f"Choose from 1 to {MOST_PACKS} packs; for more write to {_support()}.")
    _check_need(account, pack, now=now)
    with subscriptions.acting(account=account, purpose="pack", follow=False) as held:
        checkout.check_standing(held.customer)
        customer = customers.ensure(account=account, held=held)
        if customer.currency not in ("", pack.currency):
            raise NotForSale(
                f"{pack.name} is sold in {pack.currency.upper()}, and you pay in {customer.currency.upper()}. Write to "
                f"{_support()}."
            )
        price = _price_at_stripe(pack, account=account, now=now)
        assert customer.stripe_customer_id
        try:
            # The lease's token never comes again, so each purchase is one of its own and a retried call is not.
            session = gateway.post(
                "/v1/checkout/sessions",
                _session_params(account, pack, number, price=price, customer=customer.stripe_customer_id),
                idempotency_key=f"pack:{account.pk}:{held.token}",
            )
        except gateway.InvalidRequest as error:
            raise NotForSale(
                f"Stripe would not open the payment page for {pack.name}: {error.message} Nothing was charged."
            ) from error
    return str(session["url"])


def complete(*, account: Account, session_id: str) -> tuple[Outcome, CreditGrant | None]:
    """What became of the payment the browser comes back from, with the credits once they are there; asks Stripe.

    PENDING: the page is done and the bank has not answered, or the sync is under way. Raises NotYours for a session of
    somebody else, and the gateway's errors.
    """
    session = _session(account, session_id)
    if session["status"] != "complete":
        return Outcome.UNPAID, None
    subscriptions.sync(account=account, reason="pack", wait_seconds=subscriptions.PATIENCE_SECONDS)
    key = f"pack:{id_of(session['payment_intent'])}"
    grant = CreditGrant.objects.filter(account=account, source_key=key).first()
    return (Outcome.ACTIVE if grant else Outcome.PENDING), grant


def _check_need(account: Account, pack: Pack, *, now: datetime) -> None:
    rights = entitlements.of(account, now=now)
    allowance = rights.allowance(pack.feature)
    if allowance is not None and allowance.quantity is None:
        feature = catalog.current().feature(pack.feature)
        raise NotNeeded(f"{rights.plan.name} has unlimited {feature.unit_many}; a pack would add nothing.")


def _price_at_stripe(pack: Pack, *, account: Account, now: datetime) -> str:
    found = list(gateway.pages("/v1/prices", {"lookup_keys": [pack.lookup_key], "active": True}, at_most=1))
    if not found:
        alerts.raise_alert(
            key=f"price_missing:{pack.lookup_key}",
            kind="price_missing",
            message=f"{account} could not buy {pack.name}: Stripe has no active price {pack.lookup_key!r}. "
            "Run `manage.py sync_catalog`.",
            account=account,
            now=now,
        )
        raise NotForSale(f"{pack.name} cannot be bought just now. Try again later; nothing was charged.")
    if found[0]["unit_amount"] != pack.amount:
        raise NotForSale(
            f"The price of {pack.name} is being changed just now. Look at it again in a few minutes; nothing was "
            "charged."
        )
    return str(found[0]["id"])


def _session_params(
    account: Account, pack: Pack, number: int, *, price: str, customer: str
) -> dict[str, Any]:
    """https://docs.stripe.com/api/checkout/sessions/create"""
    marks = {
        customers.ACCOUNT_KEY: str(account.pk),
        PACK_KEY: pack.lookup_key,
        FEATURE_KEY: pack.feature,
        UNITS_KEY: str(pack.units * number),
        PRIORITY_KEY: str(pack.priority),
        **({DAYS_KEY: str(pack.expires_days)} if pack.expires_days else {}),
    }
    name = f"{number} × {pack.name}" if number > 1 else pack.name
    tax = {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    back = f"{settings.BASE_URL}{reverse('billing:credits')}"
    return {
        **(tax if settings.STRIPE_AUTOMATIC_TAX else {}),
        "mode": "payment",
        "customer": customer,
        "client_reference_id": str(account.pk),
        "metadata": marks,
        "line_items": [{"price": price, "quantity": number}],
        "payment_intent_data": {"metadata": marks, "description": name},
        # So that it stands among the payments, with a receipt: https://docs.stripe.com/payments/checkout/receipts
        "invoice_creation": {"enabled": True, "invoice_data": {"metadata": marks, "description": name}},
        "success_url": f"{settings.BASE_URL}{reverse('billing:pack_bought')}?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": back,
    }


def _session(account: Account, session_id: str) -> dict[str, Any]:
    if not session_id.startswith("cs_") or not session_id.replace("_", "").isalnum():
        raise NotYours(session_id)
    try:
        session = gateway.get(f"/v1/checkout/sessions/{session_id}")
    except gateway.NotFound:
        raise NotYours(session_id) from None
    is_ours = session["client_reference_id"] == str(account.pk) and (session["metadata"] or {}).get(PACK_KEY)
    if not is_ours:
        raise NotYours(session_id)
    return session


def _support() -> str:
    company = catalog.current().company
    return company.sales_email or company.support_email
