"""Closing an account: first everything ends at Stripe, and only when that is certain is anything erased here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from accounts import closing
from accounts.closing import NotOwner, StillNeeded, without_owner
from accounts.models import Account, User
from billing import effects, suspension
from billing.leaving import erasing, last_invoice
from billing.leaving.withdrawals import ALPHABET
from billing.lifecycle import checkout, pending_items, subscriptions
from billing.lifecycle.lease import Held
from billing.lifecycle.subscriptions import Busy
from billing.models import Customer, Payment, Subscription
from billing.models.subscriptions import Status
from billing.signals import account_closed
from billing.stripe import gateway

__all__ = [
    "Busy",
    "NotOwner",
    "StillBound",
    "StillDisputed",
    "StillDrafted",
    "StillNeeded",
    "StillOwing",
    "bound_until",
    "close",
    "owed",
    "waiting",
    "without_owner",
]


# Where the plan owes nothing itself.
IN_ORDER = (Status.ACTIVE, Status.TRIALING)


@dataclass(frozen=True)
class Waiting:
    """`sums` by currency in minor units, before taxes; below nothing it is a credit."""

    sums: dict[str, int]
    is_charged: bool


class StillBound(Exception):
    """A contract runs, paid or not: it ends on its day, `until`, or when staff end it."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"The contract runs until {until:%Y-%m-%d}.")
        self.until = until


class StillDisputed(Exception):
    """A bank asks for a payment back, and nobody has decided yet: the dispute is answered with what is known here."""


class StillOwing(Exception):
    """An invoice is open. `payment` is the oldest one: it is paid first, or written off by staff.

    `plan_runs`: nothing was ended; a plan whose payments are in order is not lost over an invoice beside it.
    """

    def __init__(self, payment: Payment, *, plan_runs: bool) -> None:
        super().__init__(payment.number or payment.stripe_invoice_id)
        self.payment = payment
        self.plan_runs = plan_runs


class StillDrafted(Exception):
    """An invoice is a draft that Stripe will charge by itself, within the hour. `invoice`: as Stripe has it."""

    def __init__(self, invoice: dict[str, Any]) -> None:
        super().__init__(invoice["id"])
        self.invoice = invoice


def owed(account: Account) -> Payment | None:
    """The oldest open invoice with something to pay."""
    open_ones = Payment.objects.filter(account=account, status="open", amount_due__gt=0)
    return open_ones.order_by("created_at", "pk").first()


def bound_until(subscription: Subscription | None) -> datetime | None:
    """The last day of a contract that runs; closing the account does not end it sooner."""
    return subscription.cancel_at if subscription is not None and subscription.is_fixed_term else None


def waiting(account: Account) -> Waiting | None:
    """What waits at Stripe for a next invoice; None when Stripe does not answer."""
    customer = Customer.objects.filter(account=account).first()
    if customer is None:
        return Waiting(sums={}, is_charged=True)
    try:
        items = pending_items.of(customer.stripe_customer_id)
    except gateway.StripeError:
        return None
    # The last invoice of what was used takes what waits along.
    by_use = Subscription.objects.live().filter(account=account, items__is_metered=True).exists()
    is_spared = not by_use and last_invoice.is_spared(account, customer)
    return Waiting(sums=pending_items.sums(items), is_charged=not is_spared)


def close(*, account: Account, by: User, now: datetime) -> str:
    """End everything at Stripe, then erase; answers the reference on the receipt, which leaves by mail.

    It fails closed: as long as Stripe has not said that the plan is over, nothing is erased and the next try goes
    on where this one stopped. What was used and not billed yet is on a last invoice. The customer's record at
    Stripe stays with its invoices, as tax law asks. `now` is the account's time.

    Raises NotOwner, StillNeeded, StillDisputed, StillBound (before anything was done), StillOwing, StillDrafted, Busy
    and the gateway's errors.
    """
    closing.check(account=account, by=by)
    if _is_asked_by_a_bank(account):
        raise StillDisputed
    address = account.email or by.email
    ended = _end_at_stripe(account, now=now)
    invoice = owed(account)
    if invoice is not None:
        raise StillOwing(invoice, plan_runs=False)
    reference = "".join(secrets.choice(ALPHABET) for _ in range(10))
    # Under the lease, so that nobody begins a plan in another window between the look and the end.
    with (
        subscriptions.acting(account=account, purpose="closing", follow=False) as held,
        _unless_drafted(held),
    ):
        if Subscription.objects.live().filter(account=account).exists():
            raise Busy("The plan has not ended yet.")
        effects.owe_mail(
            key=f"closed:{account.pk}",
            to=address,
            subject=f"Your account at {settings.SITE_NAME} is closed",
            body=render_to_string(
                "emails/closed.txt",
                {
                    "reference": reference,
                    "account": account,
                    "ended": ended,
                    "now": now,
                    "payments": Payment.objects.filter(account=account).count(),
                    "is_personal": account.kind == Account.Kind.PERSONAL,
                    "SITE_NAME": settings.SITE_NAME,
                },
            ),
            account=account,
            now=now,
        )
        erasing.of_account(account, now=now)
        closing.erase(account=account, by=by, now=now)
        # A product that still asks is told no, also for what the free plan gives.
        suspension.suspend(account=account, reason="The account was closed by its owner.", now=now)
        Customer.objects.filter(account=account).update(
            card_brand="", card_last4="", card_exp_month=None, card_exp_year=None, card_digest=""
        )
        account_closed.send(Account, account=account)
    return reference


def _is_asked_by_a_bank(account: Account) -> bool:
    """Whether a dispute is not decided yet, also beside one that was lost before."""
    return (
        Customer.objects.filter(account=account, dispute_state="open").exists()
        or Payment.objects.filter(account=account, dispute_state="open").exists()
    )


def _end_at_stripe(account: Account, *, now: datetime) -> dict[str, Any] | None:
    """The subscription that was ended, if there was one; after it, Stripe has nothing left to charge."""
    customer = Customer.objects.filter(account=account).first()
    # Of a customer that was deleted at Stripe invoices are left, paid or voided since.
    if customer is None or not (customer.stripe_customer_id or owed(account)):
        return None
    subscriptions.sync(account=account, reason="closing", wait_seconds=subscriptions.PATIENCE_SECONDS)
    if _is_asked_by_a_bank(account):
        raise StillDisputed
    running = Subscription.objects.live().filter(account=account).first()
    until = bound_until(running)
    if until is not None:
        raise StillBound(until)
    invoice = owed(account)
    if running is not None and running.status in IN_ORDER and invoice is not None:
        raise StillOwing(invoice, plan_runs=True)
    if running is not None:
        subscriptions.cancel_now(account=account, settles=True)
    last_invoice.write(account=account, now=now)
    # A page that is still open could be paid after the account is gone.
    checkout.close_tills(account=account)
    return {"plan_key": running.plan_key, "at": running.ended_at} if running is not None else None


@contextmanager
def _unless_drafted(held: Held) -> Iterator[None]:
    """The transaction that closes, after a look for drafts: under the lease, so that staff bill nothing in between."""
    draft = _draft(held.account)
    if draft is not None:
        raise StillDrafted(draft)
    with held.committing():
        yield


def _draft(account: Account) -> dict[str, Any] | None:
    """An invoice that goes its own way from here: of a plan that was ended at Stripe, or written by staff."""
    customer = Customer.objects.filter(account=account).first()
    if customer is None or not customer.stripe_customer_id:
        return None
    drafts = gateway.pages("/v1/invoices", {"customer": customer.stripe_customer_id, "status": "draft"})
    return next((one for one in drafts if one["auto_advance"] and one["amount_due"] > 0), None)
