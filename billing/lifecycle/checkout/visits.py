"""Somebody goes to the till, comes back from it, or is kept from it: each under the account's lease."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from accounts.models import Account, User
from billing import catalog, clock
from billing.catalog import Price
from billing.lifecycle import customers, subscriptions
from billing.lifecycle.checkout import offering, opening, tills
from billing.lifecycle.checkout.refusals import NotYours
from billing.models import CheckoutIntent, Subscription


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
    offering.check_sold(plan, price, quantity, account)
    with subscriptions.acting(account=account, purpose="checkout", follow=False) as held:
        offering.check_standing(held.customer)
        currency = offering.currency_of(held.customer, price, currency)
        waiting = tills.waiting(account)
        if (
            waiting is not None
            and tills.is_same(waiting, price, quantity, promotion_code, currency, now)
            and tills.is_open_at_stripe(waiting)
        ):
            tills.check_nothing_bought(held.customer, held)
            return waiting
        was_known = held.customer.stripe_customer_id is not None
        customer = customers.ensure(account=account, held=held)
        # In this order: a session that is paid while we look has become a subscription by the time we list
        # those.
        tills.expire(customer, held, now=now)
        tills.check_nothing_bought(customer, held, start_over=True)
        if was_known:
            customers.introduce(account)
        return opening.open_page(
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
            tills.expire(held.customer, held, now=clock.now(account))
