"""What is told of an invoice that was sent to be paid and is not: overdue, and the plan off for it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from accounts.notifications import notify, overtake
from billing import entitlements
from billing.access import turning
from billing.messages.words import iso, plan_name
from billing.models import Customer, Payment, Subscription

log = structlog.get_logger(__name__)

OFF = ("past_due", "unpaid")
# Stripe makes the subscription past due when the invoice is; until then the end of access is not known.
LATE_NEWS = timedelta(hours=1)
# What fell due longer ago than this before the last look is history (an import, a restored backup).
SLACK = timedelta(days=3)
SWEEP_SECONDS = 45


def tell(payment: Payment, subscription: Subscription | None, *, since: datetime, now: datetime) -> None:
    """Whatever is due about one invoice at `now` (the account's time), once each. In a transaction.

    What came to pass before `since` is no news.
    """
    if payment.due_at is None or payment.due_at > now or not _is_owed(payment):
        return
    is_live = subscription is not None and subscription.is_live
    if not is_live:
        # Paying it does not bring the plan back any more; the message about its end has said so.
        overtake(account=payment.account, key=_key("plan_off", payment), now=now)
    rights = entitlements.of(payment.account, now=now)
    is_about_it = is_live and rights.subscription == subscription
    if is_about_it and rights.reason in OFF and _is_oldest(payment, now=now):
        if _went_off_at(rights) >= since:
            _tell("plan_off", payment, subscription, now=now)
    elif payment.due_at >= since and not (is_live and _is_unheard_of(payment, subscription, now=now)):
        _tell(
            "invoice_overdue",
            payment,
            subscription,
            now=now,
            access_until=iso(rights.grace_until) if is_about_it else None,
            is_off=is_about_it and rights.reason in OFF,
        )


def settled(payment: Payment, *, now: datetime) -> None:
    """It is paid, voided or given up: nothing of this is so any more. In a transaction."""
    for kind in ("invoice_overdue", "plan_off"):
        overtake(account=payment.account, key=_key(kind, payment), now=now)


def sweep(*, now: datetime, limit: int = 2000) -> int:
    """For the beat: every invoice past its day, as access ends without a word from Stripe. `now` is wall time; answers
    how many were looked at.
    """
    started = time.monotonic()
    looked_at = 0
    owed = (
        Payment.objects.filter(status="open", amount_due__gt=0)
        .annotate(at=Coalesce("account__customer__clock_now", Value(now)))
        .filter(due_at__lte=F("at"))
        .select_related("account")
        .order_by("?")
    )
    for payment in owed[:limit]:
        if time.monotonic() - started > SWEEP_SECONDS:
            break
        try:
            _look_again(payment, now=now)
        except Exception:  # one account's trouble must not keep the others from their notices
            log.exception("overdue_not_told", invoice=payment.stripe_invoice_id)
        looked_at += 1
    return looked_at


def _look_again(payment: Payment, *, now: datetime) -> None:
    """Under a lock: a sync that has just read it as paid must not be followed by a letter that it is not."""
    with transaction.atomic():
        current = Payment.objects.select_for_update(of=("self",)).select_related("account").get(pk=payment.pk)
        customer = Customer.objects.filter(account=current.account).first()
        theirs = (customer.clock_now if customer else None) or now
        subscription = Subscription.objects.filter(
            stripe_subscription_id=current.stripe_subscription_id
        ).first()
        tell(current, subscription, since=theirs - SLACK, now=theirs)


def _is_owed(payment: Payment) -> bool:
    return payment.status == "open" and payment.amount_due > payment.amount_paid


def _is_oldest(payment: Payment, *, now: datetime) -> bool:
    """Of several that are overdue the first ends access; the others are told as what they are."""
    owed = Payment.objects.filter(
        stripe_subscription_id=payment.stripe_subscription_id,
        status="open",
        amount_due__gt=0,
        due_at__lte=now,
    )
    return owed.order_by("due_at", "pk").first() == payment


def _went_off_at(rights: entitlements.Entitlements) -> datetime:
    assert rights.subscription is not None
    facts = entitlements.facts_of(rights.subscription)
    since = turning.grace_end(facts) if facts.status == "past_due" else facts.status_since
    return since or rights.now


def _is_unheard_of(payment: Payment, subscription: Subscription | None, *, now: datetime) -> bool:
    """Whether Stripe's word that the subscription is past due is still on its way."""
    assert payment.due_at is not None
    is_running = subscription is not None and subscription.status in ("active", "trialing")
    return is_running and now < payment.due_at + LATE_NEWS


def _tell(
    kind: str, payment: Payment, subscription: Subscription | None, *, now: datetime, **context: Any
) -> None:
    assert payment.due_at is not None
    notify(
        account=payment.account,
        kind=kind,
        key=_key(kind, payment),
        now=now,
        context={
            "plan": plan_name(subscription.plan_key) if subscription and subscription.is_live else "",
            "invoice": payment.stripe_invoice_id,
            "number": payment.number,
            "amount": payment.amount_due - payment.amount_paid,
            "currency": payment.currency,
            "due_at": iso(payment.due_at),
            "days": (now - payment.due_at).days,
            "url": payment.hosted_invoice_url,
            **context,
        },
    )


def _key(kind: str, payment: Payment) -> str:
    return f"{kind}:{payment.stripe_invoice_id}"
