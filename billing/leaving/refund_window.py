"""Money back at the customer's own wish: all of the first purchase in its first days, once; the plan ends with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.crypto import salted_hmac

from accounts.models import Account, User
from billing import catalog, clock, effects
from billing.lifecycle import payments, subscriptions, trials
from billing.lifecycle.subscriptions import Busy
from billing.models import Customer, Effect, Payment, Subscription
from billing.stripe import gateway

__all__ = ["Busy", "Closed", "Given", "Offer", "given_to", "is_promised_to", "offer_to", "take_back"]

SALT = "tallyhouse.money_back"
KIND = "money_back"


class Closed(Exception):
    """There is nothing to take back: too late, not the first purchase, or done before. The text is for the customer."""


@dataclass(frozen=True)
class Offer:
    """What would be given back now. `amount` in minor units of `currency`; possible before `until`."""

    subscription: Subscription
    payments: tuple[Payment, ...]
    amount: int
    currency: str
    until: datetime


@dataclass(frozen=True)
class Given:
    """What went back. `amount` in minor units of `currency`; `at` in the account's time."""

    amount: int
    currency: str
    at: datetime


def offer_to(account: Account, *, by: User, now: datetime) -> Offer | None:
    """The money-back offer of `account` at `now` (its own time), if there is one for this person. Reads only.

    None while the bank is asked for the money too: Stripe refunds no disputed payment
    (https://docs.stripe.com/disputes/responding), and nobody is to have it twice.
    """
    if Customer.objects.filter(account=account).exclude(dispute_state="").exists():
        return None
    subscription = Subscription.objects.live().filter(account=account).first()
    if subscription is None or subscription.first_paid_at is None or not _is_first(subscription):
        return None
    plan = catalog.current().plans.get(subscription.plan_key)
    until = subscription.first_paid_at + timedelta(days=plan.money_back_days if plan else 0)
    if now >= until or _has_had_one(by):
        return None
    paid = tuple(
        payment
        for payment in Payment.objects.filter(
            stripe_subscription_id=subscription.stripe_subscription_id, status="paid", dispute_state=""
        ).order_by("created_at", "pk")
        if payment.amount_paid > payment.amount_refunded
    )
    if not paid:
        return None
    return Offer(
        subscription=subscription,
        payments=paid,
        amount=sum(payment.amount_paid - payment.amount_refunded for payment in paid),
        currency=subscription.currency,
        until=until,
    )


def is_promised_to(account: Account, *, by: User, now: datetime) -> bool:
    """Whether the days of money back are still a promise to this person: it is for a first purchase, and once."""
    if _has_had_one(by):
        return False
    has_paid = Subscription.objects.filter(account=account, first_paid_at__isnull=False).exists()
    return not has_paid or offer_to(account, by=by, now=now) is not None


def given_to(account: Account) -> Given | None:
    """What the account took back, for whoever presses the button once more or comes back to the page."""
    done = Effect.objects.filter(account=account, kind=KIND).order_by("-created_at").first()
    if done is None:
        return None
    currency = done.detail.get("currency", catalog.current().currency)
    return Given(amount=done.detail["amount"], currency=currency, at=done.created_at)


def take_back(*, account: Account, by: User) -> Offer:
    """Give everything back to the card and end the plan at once; answers what was given back.

    Twice, in two tabs or after a crash in between it comes to the same: each invoice is refunded once, and the
    sync that follows ends the plan whose first payment went back (billing.lifecycle.money_back).

    Raises Closed, Busy and the gateway's errors; after those the outcome is found by the next sync.
    """
    with subscriptions.acting(account=account, purpose="money_back") as held:
        now = clock.now(account)
        offer = offer_to(account, by=by, now=now)
        if offer is None:
            raise Closed(
                "There is no payment left that can be taken back here. Write to us if you think otherwise."
            )
        for payment in offer.payments:
            invoice = gateway.get(f"/v1/invoices/{payment.stripe_invoice_id}", {"expand": ["payments"]})
            payments.refund(account=account, invoice=invoice, reason="money back", held=held, now=now)
            held.renew()
        with held.saving():
            detail = {"amount": offer.amount, "currency": offer.currency}
            for key in _keys_of(by):
                effects.once(key=key, kind=KIND, account=account, now=now, detail=detail)
    return offer


def _is_first(subscription: Subscription) -> bool:
    """Whether this is the first plan the account ever paid for."""
    others = Subscription.objects.filter(account_id=subscription.account_id).exclude(pk=subscription.pk)
    return not others.filter(first_paid_at__isnull=False).exists()


def _has_had_one(user: User) -> bool:
    return Effect.objects.filter(key__in=_keys_of(user)).exists()


def _keys_of(user: User) -> Iterable[str]:
    """A person is an address without its disguises, kept as a hash, also under keys that were replaced."""
    mailbox = trials.normalized(user.email)
    return [
        f"money_back:{salted_hmac(SALT, mailbox, secret=key, algorithm='sha256').hexdigest()}"
        for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ]
