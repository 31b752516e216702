"""The way to the till: one open checkout per account, opened only when nothing is bought yet, and the way back."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Account, User
from billing import alerts, catalog, clock
from billing.catalog import Plan, Price
from billing.lifecycle import customers, subscriptions, trials
from billing.lifecycle.lease import Held
from billing.lifecycle.lease import LeaseTaken as Busy
from billing.lifecycle.portal import open_portal
from billing.models import CheckoutIntent, Customer, Subscription
from billing.stripe import gateway, truth
from billing.stripe.shapes import known_moment

__all__ = [
    "AlreadySubscribed",
    "BadQuantity",
    "Busy",
    "CheckoutRefused",
    "NotForSale",
    "NotYours",
    "Outcome",
    "WrongAudience",
    "close_tills",
    "complete",
    "open_portal",
    "start",
]

# How long a session lives
# (https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at).
SESSION_LIFE = timedelta(hours=24)
# More than this is a matter for sales, and Stripe's own largest amount is not far.
MOST_SEATS = 10_000
# A session that is about to expire is no use to somebody who is about to look for their card.
WORTH_RETURNING = timedelta(minutes=15)


class CheckoutRefused(Exception):
    """This cannot be bought now. The text is for the customer: what is the matter and what to do next."""


class AlreadySubscribed(CheckoutRefused):
    """There is a live subscription; it is changed, not bought again."""


class NotForSale(CheckoutRefused):
    """The plan is retired, free, sold by sales, or not known to Stripe; or this account may not buy."""


class BadQuantity(CheckoutRefused):
    """Fewer or more seats than the plan is sold with."""


class WrongAudience(CheckoutRefused):
    """A plan for organizations asked for by a person, or the other way round."""


class NotYours(Exception):
    """No checkout of this account has that id."""


class Outcome(StrEnum):
    """What became of a checkout."""

    ACTIVE = "active"  # paid or in trial, and our rows say so
    PENDING = "pending"  # finished at the till; the truth is on its way
    UNPAID = "unpaid"  # still open, or expired without a payment


def start(
    *,
    account: Account,
    price: Price,
    quantity: int,
    user: User,
    now: datetime,
    promotion_code: str = "",
    currency: str = "",
) -> CheckoutIntent:
    """Open Stripe's hosted page for `price`; the answer's `url` is where to send the browser.

    `promotion_code` is Stripe's id of one that is taken off there; without one, the page asks for a code.
    `currency` is the one the price was shown in; who has bought before pays in that of the first purchase.
    `now` is the account's time. The same choice made twice gets the same page. Raises the CheckoutRefused
    kinds, Busy while another change is in progress, and the gateway's errors: without an answer from Stripe
    nothing is opened, because a subscription we could not see might exist.
    """
    plan = catalog.current().plan(price.plan_key)
    _check_offer(plan, price, quantity, account)
    with subscriptions.acting(account=account, purpose="checkout", follow=False) as held:
        check_standing(held.customer)
        currency = _currency(held.customer, price, currency)
        waiting = _open_intents(account).first()
        if (
            waiting is not None
            and _is_same(waiting, price, quantity, promotion_code, currency, now)
            and _is_open_at_stripe(waiting)
        ):
            _check_nothing_bought(held.customer, held)
            return waiting
        was_known = held.customer.stripe_customer_id is not None
        customer = customers.ensure(account=account, held=held)
        # In this order: a session that is paid while we look has become a subscription by the time we list
        # those.
        _expire_sessions(customer, held, now=now)
        _check_nothing_bought(customer, held, start_over=True)
        if was_known:
            customers.introduce(account)
        return _open(
            account,
            plan,
            price,
            quantity,
            promotion_code=promotion_code,
            currency=currency,
            user=user,
            held=held,
            now=now,
        )


def complete(*, account: Account, session_id: str) -> Outcome:
    """What became of the checkout the browser comes back from; asks Stripe, so it works before any webhook does.

    Raises NotYours for an id that was not opened for this account, and the gateway's errors.
    """
    intent = CheckoutIntent.objects.filter(account=account, stripe_session_id=session_id).first()
    if not session_id or intent is None:
        raise NotYours(session_id)
    is_fresh = subscriptions.sync(
        account=account, reason="checkout", wait_seconds=subscriptions.PATIENCE_SECONDS
    )
    intent.refresh_from_db()
    if intent.state != CheckoutIntent.State.COMPLETE:
        # Unless Stripe itself has just said so, nobody is told that they did not pay.
        return Outcome.UNPAID if is_fresh else Outcome.PENDING
    is_running = (
        Subscription.objects.live().filter(account=account, status__in=["active", "trialing"]).exists()
    )
    return Outcome.ACTIVE if is_running else Outcome.PENDING


def close_tills(*, account: Account) -> None:
    """Expire every page of `account` at which something could still be paid. Raises Busy and the gateway's errors."""
    with subscriptions.acting(account=account, purpose="close_tills") as held:
        if held.customer.stripe_customer_id:
            _expire_sessions(held.customer, held, now=clock.now(account))


def _check_offer(plan: Plan, price: Price, quantity: int, account: Account) -> None:
    if plan.contact_sales:
        raise NotForSale(f"{plan.name} is agreed with our sales team. Write to them; nothing was charged.")
    if plan.retired or price not in (plan.price_every(price.interval), *plan.base_prices):
        raise NotForSale(f"{plan.name} is not sold this way any more. Choose a plan from the price list.")
    if not plan.suits(account.kind):
        other = "an organization" if plan.audience == "organization" else "a person"
        raise WrongAudience(f"{plan.name} is for {other}. Switch the account at the top of the page first.")
    if plan.seats is not None and price.per_seat:
        if not plan.seats.allow(quantity):
            top = f" to {plan.seats.max}" if plan.seats.max is not None else " or more"
            raise BadQuantity(
                f"{plan.name} comes with {plan.seats.min}{top} seats. Choose a number of seats in between."
            )
        if quantity > MOST_SEATS:
            sales = catalog.current().company.sales_email or catalog.current().company.support_email
            raise BadQuantity(
                f"For more than {MOST_SEATS:,} seats write to {sales}: there is a better price."
            )
    elif quantity != 1:
        raise BadQuantity(f"{plan.name} is sold once per account, not by the seat.")


def _currency(customer: Customer, price: Price, wanted: str) -> str:
    """What the page charges in; empty for the price's own. Raises NotForSale.

    Stripe bills a customer in one currency (https://docs.stripe.com/billing/customer#currency).
    """
    chosen = customer.currency or wanted or price.currency
    if wanted and chosen != wanted:
        raise NotForSale(
            f"You pay in {chosen.upper()} since your first purchase, and that cannot change. Look at the prices in "
            f"{chosen.upper()}; nothing was charged."
        )
    if chosen != price.currency and chosen not in price.currencies:
        raise NotForSale(f"This is not sold in {chosen.upper()}. Choose another price; nothing was charged.")
    return "" if chosen == price.currency else chosen


def check_standing(customer: Customer) -> None:
    """Whether this account may buy anything at all. Raises NotForSale."""
    if customer.suspended_at is not None or customer.dispute_state == "lost":
        support = catalog.current().company.support_email
        raise NotForSale(
            f"This account cannot buy at the moment. Write to {support}, and we will sort it out."
        )


def _open_intents(account: Account) -> QuerySet[CheckoutIntent]:
    return CheckoutIntent.objects.filter(
        account=account, state__in=[CheckoutIntent.State.OPENING, CheckoutIntent.State.OPEN]
    )


def _is_same(
    intent: CheckoutIntent, price: Price, quantity: int, promotion_code: str, currency: str, now: datetime
) -> bool:
    return (
        intent.state == CheckoutIntent.State.OPEN
        and intent.price_lookup_key == price.lookup_key
        and intent.quantity == quantity
        and intent.promotion_code == promotion_code
        and intent.currency == currency
        and now + WORTH_RETURNING < intent.expires_at
    )


def _is_open_at_stripe(intent: CheckoutIntent) -> bool:
    try:
        session = gateway.get(f"/v1/checkout/sessions/{intent.stripe_session_id}")
    except gateway.NotFound:
        return False
    return bool(session["status"] == "open")


def _expire_sessions(customer: Customer, held: Held, *, now: datetime) -> None:
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
    waiting = _open_intents(customer.account).first()  # the database allows one
    if waiting is not None:
        became = _became(waiting, now=now)
        with held.saving():
            CheckoutIntent.objects.filter(pk=waiting.pk).update(**became)


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


def _check_nothing_bought(customer: Customer, held: Held, *, start_over: bool = False) -> None:
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


def _open(
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
