"""What is told about payments: paid, failed, waiting for a confirmation, to be paid, given back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from accounts.notifications import notify, overtake
from billing import entitlements
from billing.messages import overdue
from billing.messages.words import card, iso, plan_name
from billing.models import Customer, Payment, Subscription
from billing.models.subscriptions import Status
from billing.stripe.truth import Truth

# An invoice is a draft for about an hour, and then charged:
# https://docs.stripe.com/billing/invoices/subscription#subscription-lifecycle
AS_A_DRAFT = timedelta(hours=3)


def tell(
    was: Mapping[str, Payment],
    is_now: Mapping[str, Payment],
    *,
    truth: Truth,
    subscriptions: Mapping[str, Subscription],
    customer: Customer,
    since: datetime,
    now: datetime,
) -> None:
    """Every difference between two looks at an account's invoices. What was paid before `since` is no news."""
    for name, payment in is_now.items():
        known = was.get(name)
        # An invoice that was here before may be old: its retries go on for weeks.
        is_news = known is not None or payment.created_at >= since
        if known is not None and known.status == "open" and payment.status != "open":
            # Paid, voided or given up: there is nothing to confirm any more, and nothing overdue.
            _nothing_to_confirm(payment, tries=payment.attempt_count, now=now)
            overdue.settled(payment, now=now)
        facts = _Facts(payment, subscriptions.get(payment.stripe_subscription_id), customer, now)
        if payment.status == "paid" and (known is None or known.status != "paid"):
            if payment.amount_paid > 0 and (payment.paid_at or now) >= since:
                _receipt(facts)
        elif payment.status == "open" and payment.amount_due > 0 and is_news:
            _owed(facts, known, intent=truth.intents.get(name, {}))
        overdue.tell(payment, facts.subscription, since=since, now=now)
        more_back = payment.amount_refunded - (known.amount_refunded if known else 0)
        if more_back > 0 and is_news:
            _refunded(facts, more_back)


class _Facts:
    """One invoice with what it is about."""

    def __init__(
        self, payment: Payment, subscription: Subscription | None, customer: Customer, now: datetime
    ) -> None:
        self.payment = payment
        self.subscription = subscription
        self.customer = customer
        self.now = now

    @property
    def plan(self) -> str:
        """What was paid: the plan, else what the invoice says (a pack of credits)."""
        if self.subscription is not None:
            return plan_name(self.subscription.plan_key)
        return self.payment.description or "your order"

    def tell(self, kind: str, fact: str, **context: Any) -> bool:
        """Whether it is news."""
        payment = self.payment
        told = notify(
            account=payment.account,
            kind=kind,
            key=f"{kind}:{fact}",
            now=self.now,
            context={
                "plan": self.plan,
                "invoice": payment.stripe_invoice_id,
                "number": payment.number,
                "currency": payment.currency,
                "url": payment.hosted_invoice_url,
                **context,
            },
        )
        return told is not None


def _receipt(facts: _Facts) -> None:
    payment = facts.payment
    facts.tell(
        "receipt",
        payment.stripe_invoice_id,
        amount=payment.amount_paid,
        description=payment.description,
        dated_at=iso(_dated_at(payment)),
        paid_at=iso(payment.paid_at),
        pdf_url=payment.invoice_pdf_url,
        card=card(facts.customer),
    )


def _dated_at(payment: Payment) -> datetime | None:
    """The day of a charge is its invoice's, as in the notice before it and in the list of payments: Stripe writes it
    when the period ends and charges it an hour later, which may be the next day. Paid later, it has a day of its own.
    """
    if payment.paid_at is not None and payment.paid_at - payment.created_at <= AS_A_DRAFT:
        return payment.created_at
    return payment.paid_at


def _owed(facts: _Facts, known: Payment | None, *, intent: Mapping[str, Any]) -> None:
    payment, subscription = facts.payment, facts.subscription
    if payment.due_at is not None:
        facts.tell(
            "invoice_sent", payment.stripe_invoice_id, amount=payment.amount_due, due_at=iso(payment.due_at)
        )
        return
    if subscription is not None and subscription.status in (Status.INCOMPLETE, Status.INCOMPLETE_EXPIRED):
        return  # on Stripe's page right now, which says it
    if intent.get("status") == "requires_action":
        _to_confirm(facts)
    elif payment.attempt_count > (known.attempt_count if known else 0) and not _is_said_elsewhere(facts):
        _nothing_to_confirm(payment, tries=payment.attempt_count, now=facts.now)
        facts.tell(
            "payment_failed",
            f"{payment.stripe_invoice_id}:{payment.attempt_count}",
            amount=payment.amount_due,
            attempt=payment.attempt_count,
            retry_at=iso(payment.next_payment_attempt_at),
            access_until=_access_until(facts),
            card=card(facts.customer),
        )


def _to_confirm(facts: _Facts) -> None:
    """The bank wants its customer. A renewal is tried again and the bank asks anew: each try is told as one that was
    refused is, and the question before it is no longer so. A change waits for one answer, and is told once.
    """
    payment, subscription = facts.payment, facts.subscription
    is_change = payment.billing_reason == "subscription_update"
    # Stripe counts its own tries, not those on its page: who is asked there knows.
    number = 1 if is_change else payment.attempt_count
    if subscription is not None and not subscription.is_live and number > 1:
        return  # the plan ended with the last try, which has a message of its own
    access_until = _access_until(facts)
    is_news = facts.tell(
        "action_required",
        _question(payment, number),
        amount=payment.amount_due,
        attempt=number,
        retry_at=None if is_change else iso(payment.next_payment_attempt_at),
        access_until=access_until,
        is_off=not is_change and subscription is not None and subscription.is_live and access_until is None,
    )
    if is_news:
        _nothing_to_confirm(payment, tries=number - 1, now=facts.now)


def _nothing_to_confirm(payment: Payment, *, tries: int, now: datetime) -> None:
    """What the bank asked in the first `tries` is no longer so."""
    for number in range(1, tries + 1):
        overtake(account=payment.account, key=f"action_required:{_question(payment, number)}", now=now)


def _question(payment: Payment, number: int) -> str:
    return payment.stripe_invoice_id if number <= 1 else f"{payment.stripe_invoice_id}:{number}"


def _is_said_elsewhere(facts: _Facts) -> bool:
    """A refused upgrade is said on its page, and costs no access; a trial that ends unpaid and a plan that ends with
    the last try have messages of their own.
    """
    payment, subscription = facts.payment, facts.subscription
    if subscription is None or not subscription.is_live:
        return subscription is not None
    if payment.billing_reason == "subscription_update" and subscription.status == Status.ACTIVE:
        return True
    never_paid = subscription.trial_end is not None and subscription.first_paid_at is None
    return never_paid and payment.attempt_count == 1


def _access_until(facts: _Facts) -> str | None:
    """The end of payment grace, while it runs."""
    if facts.subscription is None:
        return None
    return iso(entitlements.of(facts.payment.account, now=facts.now).grace_until)


def _refunded(facts: _Facts, amount: int) -> None:
    payment = facts.payment
    facts.tell(
        "refunded",
        f"{payment.stripe_invoice_id}:{payment.amount_refunded}",
        amount=amount,
        refunded_in_all=payment.amount_refunded,
        is_all=payment.amount_refunded == payment.amount_paid,
    )
