"""Invoices that were open when last seen: who pays one on Stripe's page, which leads nowhere, sees it paid at once."""

from __future__ import annotations

import time

import structlog
from django.conf import settings
from django.core.cache import cache

from accounts.models import Account
from billing.lifecycle import subscriptions
from billing.models import Payment
from billing.stripe import gateway

log = structlog.get_logger(__name__)

# One call for each; who has more open does not wait for all of them, nor for a slow answer to each.
MOST = 3
LOOK_SECONDS = 2.0
# Who loads the page again within this reads what was found the last time.
REST_SECONDS = 15
# Whoever is at it writes the same; longer than this the page does not wait for them.
PATIENCE_SECONDS = 1.0

UNANSWERED, UNDONE, DONE = "unanswered", "undone", "done"


def look_again(*, account: Account) -> bool:
    """Sync when Stripe says that one of them is open no more; False when somebody else is at it and not done yet.

    Costs nothing where none is open, and asks once in REST_SECONDS: in between it answers as it did. Raises the
    gateway's errors.
    """
    seen = Payment.objects.filter(account=account, status="open").order_by("-created_at", "-pk")
    payments = list(seen[:MOST])
    if not payments:
        return True
    found = _lately(account)
    if found == UNANSWERED:
        raise gateway.StripeUnavailable("Stripe did not answer a moment ago.")
    if found is not None:
        return found == DONE
    found = UNANSWERED
    try:
        found = DONE if _look(payments, account) else UNDONE
    finally:
        _remember(account, found)
    return found == DONE


def _look(payments: list[Payment], account: Account) -> bool:
    started = time.monotonic()
    for payment in payments:
        if not _is_open(payment):
            return subscriptions.sync(account=account, reason="invoice_paid", wait_seconds=PATIENCE_SECONDS)
        if time.monotonic() - started > LOOK_SECONDS:
            break
    return True


def _is_open(payment: Payment) -> bool:
    try:
        return bool(gateway.glance(f"/v1/invoices/{payment.stripe_invoice_id}")["status"] == "open")
    except gateway.NotFound:
        return bool(settings.STRIPE_LIVE_MODE)  # test data is wiped at will


def _lately(account: Account) -> str | None:
    """What was found within REST_SECONDS; None: it is ours to look, and who comes meanwhile does not."""
    try:
        if cache.add(_name(account), DONE, timeout=REST_SECONDS):
            return None
        found: str | None = cache.get(_name(account))
        return found
    except Exception as error:  # whatever the cache's client raises: a payment is worth the question
        log.warning("look_not_remembered", error=type(error).__name__)
        return None


def _remember(account: Account, found: str) -> None:
    try:
        cache.set(_name(account), found, timeout=REST_SECONDS)
    except Exception as error:  # as above
        log.warning("look_not_remembered", error=type(error).__name__)


def _name(account: Account) -> str:
    return f"open-invoices:{account.pk}"
