"""A page at Stripe is opened: what it sells, with which trial, code and currency, and where it leads back to."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse

from accounts.models import Account, User
from billing import alerts, catalog
from billing.catalog import Plan, Price
from billing.lifecycle import customers, trials
from billing.lifecycle.checkout.refusals import NotForSale
from billing.lifecycle.lease import Held
from billing.models import CheckoutIntent, Customer
from billing.stripe import gateway
from billing.stripe.shapes import known_moment

# How long a session lives
# (https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at).
SESSION_LIFE = timedelta(hours=24)


def open_page(
    account: Account,
    plan: Plan,
    price: Price,
    quantity: int,
    *,
    promotion_code: str,
    currency: str,
    user: User,
    held: Held,
    now: datetime,
) -> CheckoutIntent:
    """Open one at Stripe, written down first; nothing else is open. Raises NotForSale and the gateway's errors."""
    prices = _stripe_price_ids(account, plan, price, now=now)
    with held.saving():
        intent = CheckoutIntent.objects.create(
            account=account,
            price_lookup_key=price.lookup_key,
            quantity=quantity,
            trial_days=trials.days_for(account=account, plan=plan, user=user),
            promotion_code=promotion_code,
            currency=currency,
            idempotency_key=f"checkout:{uuid.uuid4().hex}",
            started_by=user,
            created_at=now,
            expires_at=now + SESSION_LIFE,
        )
    params = _session_params(intent, prices, price, held.customer)
    try:
        session = gateway.post("/v1/checkout/sessions", params, idempotency_key=intent.idempotency_key)
    except gateway.InvalidRequest as error:
        CheckoutIntent.objects.filter(pk=intent.pk).update(state=CheckoutIntent.State.EXPIRED)
        raise NotForSale(
            f"Stripe would not open the payment page for {plan.name}: {error.message} Nothing was charged."
        ) from error
    with held.saving():
        intent.stripe_session_id = session["id"]
        intent.url = session["url"]
        intent.state = CheckoutIntent.State.OPEN
        intent.expires_at = known_moment(session["expires_at"])
        intent.save(update_fields=["stripe_session_id", "url", "state", "expires_at"])
    return intent


def _stripe_price_ids(account: Account, plan: Plan, price: Price, *, now: datetime) -> dict[str, str]:
    """Ids at Stripe by lookup key: of the chosen price and of what the plan charges by the unit beside."""
    wanted = [price.lookup_key, *(metered.lookup_key for metered in _metered_beside(plan, price))]
    found = gateway.pages("/v1/prices", {"lookup_keys": wanted, "active": True}, at_most=len(wanted))
    listed = {entry["lookup_key"]: entry for entry in found}
    _check_amounts(plan, (price, *_metered_beside(plan, price)), listed)
    ids = {key: entry["id"] for key, entry in listed.items()}
    missing = [key for key in wanted if key not in ids]
    if missing:
        alerts.raise_alert(
            key=f"price_missing:{missing[0]}",
            kind="price_missing",
            message=f"{account} could not buy {plan.name}: Stripe has no active price {missing[0]!r}. "
            "Run `manage.py sync_catalog`.",
            account=account,
            now=now,
        )
        raise NotForSale(f"{plan.name} cannot be bought just now. Try again later; nothing was charged.")
    return ids


def _check_amounts(plan: Plan, prices: tuple[Price, ...], listed: dict[str, dict[str, Any]]) -> None:
    """The page the customer comes from and the one that charges must name one price. They differ between a push of a
    new price list and the restart that loads it.
    """
    for price in prices:
        entry = listed.get(price.lookup_key)
        if entry is not None and entry.get("unit_amount") not in (None, price.amount):
            raise NotForSale(
                f"The price of {plan.name} is being changed just now. Look at the price list again in a few "
                "minutes; nothing was charged."
            )


def _metered_beside(plan: Plan, price: Price) -> list[Price]:
    same_length = [metered for metered in plan.metered_prices if metered.months == price.months]
    return [metered for metered in same_length if metered != price]


def _session_params(
    intent: CheckoutIntent, ids: dict[str, str], price: Price, customer: Customer
) -> dict[str, Any]:
    """https://docs.stripe.com/api/checkout/sessions/create"""
    marks = {customers.ACCOUNT_KEY: str(intent.account_id)}
    lines: list[dict[str, Any]] = []
    for lookup_key, stripe_id in ids.items():
        counted = lookup_key == price.lookup_key and price.meter is None
        # A metered price takes no quantity: use decides.
        lines.append({"price": stripe_id, **({"quantity": intent.quantity} if counted else {})})
    subscription: dict[str, Any] = {"metadata": marks}
    asks_for_card = True
    if intent.trial_days:
        subscription["trial_period_days"] = intent.trial_days
        # Without a card nothing can be charged at the end: https://docs.stripe.com/payments/checkout/free-trials
        subscription["trial_settings"] = {"end_behavior": {"missing_payment_method": "pause"}}
        asks_for_card = catalog.current().plan(price.plan_key).trial_needs_card
    # Tax needs an address, which the page asks for and keeps on the customer.
    # https://docs.stripe.com/tax/checkout#existing-customers
    tax = {"automatic_tax": {"enabled": True}, "customer_update": {"address": "auto"}}
    return {
        **(tax if settings.STRIPE_AUTOMATIC_TAX else {}),
        "mode": "subscription",
        "customer": customer.stripe_customer_id,
        "client_reference_id": str(intent.account_id),
        "metadata": marks,
        "line_items": lines,
        "subscription_data": subscription,
        "payment_method_collection": "always" if asks_for_card else "if_required",
        **_codes(intent),
        **({"currency": intent.currency} if intent.currency else {}),
        "success_url": f"{settings.BASE_URL}{reverse('billing:upgraded')}?session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{settings.BASE_URL}{reverse('billing:canceled')}",
    }


def _codes(intent: CheckoutIntent) -> dict[str, Any]:
    """Stripe takes one or the other
    (https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-discounts).
    """
    if intent.promotion_code:
        return {"discounts": [{"promotion_code": intent.promotion_code}]}
    return {"allow_promotion_codes": True} if catalog.current().promotion_codes else {}
