"""Doing what letters ask for. Only ids are taken from them; everything else is asked of Stripe, now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.db.models import Q

from accounts.models import Account
from billing import alerts
from billing.lifecycle import subscriptions
from billing.models import Customer, Payment, WebhookEvent
from billing.signals import invoice_about_to_close
from billing.stripe import disputes, gateway, meter_errors
from billing.stripe.letters import Meaning, meaning
from billing.stripe.outcomes import Failed, Ignored, Outcome, Processed, PutOff

log = structlog.get_logger(__name__)

# A letter may overtake our own commit of the customer it is about; after this long it was never ours.
UNKNOWN_CUSTOMER_PATIENCE = timedelta(hours=1)

# An invoice will soon be made of what was used, or has been drafted and still takes what comes in.
CLOSING = ("invoice.upcoming", "invoice.created")


def groups(letters: Sequence[WebhookEvent]) -> Iterator[list[WebhookEvent]]:
    """The letters as they can be read together: all that only ask to look at one customer or one clock again, the
    others singly."""
    looks: dict[str, list[WebhookEvent]] = {}
    for letter in letters:
        asked = meaning(letter.type)
        if asked == Meaning.SYNC and letter.stripe_customer_id:
            looks.setdefault(letter.stripe_customer_id, []).append(letter)
        elif asked == Meaning.CLOCK:
            looks.setdefault(letter.object_id, []).append(letter)
        else:
            yield [letter]
    yield from looks.values()


def read(letters: Sequence[WebhookEvent], *, now: datetime) -> Outcome:
    """Do what these letters, all of one group, ask for. Never raises: what goes wrong is the outcome."""
    try:
        _tell_of_other_versions(letters, now=now)
        match meaning(letters[0].type):
            case Meaning.SYNC:
                return _look_again(letters, now=now)
            case Meaning.CLOCK:
                return _follow_clock(letters[0])
            case Meaning.DISPUTE:
                return _follow_dispute(letters[0], now=now)
            case Meaning.METER_ERROR:
                meter_errors.follow(letters[0], now=now)
                return Processed()
            case None:
                return Ignored("type")
    except Exception as error:  # one letter's trouble must not stop the others
        # Stripe being away needs no traceback; everything else is a mistake of ours and does.
        unexpected = not isinstance(error, gateway.StripeError)
        log.warning(
            "letter_not_read",
            letter=letters[0].stripe_event_id,
            type=letters[0].type,
            error=type(error).__name__,
            exc_info=unexpected,
        )
        # A lost database connection would otherwise fail every letter after this one.
        connection.close_if_unusable_or_obsolete()
        return Failed(f"{type(error).__name__}: {error}")


def _look_again(letters: Sequence[WebhookEvent], *, now: datetime) -> Outcome:
    account = _account_of(letters[0])
    if account is None:
        return _of_nobody_we_know(letters[0], now=now)
    if any(letter.type in CLOSING for letter in letters):
        # Before the sync: the draft's hour runs.
        invoice_about_to_close.send_robust(Customer, account=account)
    outcome = _sync(account, reason=letters[0].type)
    account.refresh_from_db(fields=["closed_at"])
    if account.closed_at is not None:
        # What comes after the account was closed says its name once more.
        WebhookEvent.objects.filter(pk__in=[letter.pk for letter in letters]).strip()
    return outcome


def _sync(account: Account, *, reason: str) -> Outcome:
    """Processed only when it is certain that Stripe was asked after the letters had come.

    When another holder of the account's lease promises to serve this too, the letters wait until that is
    seen: a holder that dies keeps no promise.
    """
    return Processed() if subscriptions.sync(account=account, reason=reason) else PutOff()


def _account_of(letter: WebhookEvent) -> Account | None:
    """The account the letter is about: by its customer, else by a payment of ours that it names (refunds)."""
    if letter.stripe_customer_id:
        return _account_with(letter.stripe_customer_id)
    charge, intent = _id_in(letter, "charge"), _id_in(letter, "payment_intent")
    named = Q(stripe_charge_id=charge) & ~Q(stripe_charge_id="")
    named |= Q(stripe_payment_intent_id=intent) & ~Q(stripe_payment_intent_id="")
    payment = Payment.objects.select_related("account").filter(named).first()
    return payment.account if payment else None


def _account_with(customer_id: str) -> Account | None:
    """Whose customer this is, or was before it was deleted at Stripe."""
    if not customer_id:
        return None
    customers = Customer.objects.select_related("account")
    current = customers.filter(stripe_customer_id=customer_id).first()
    if current:
        return current.account
    # The text search narrows it down on every database; the comparison decides.
    former = customers.filter(former_stripe_ids__icontains=customer_id)
    return next((row.account for row in former if customer_id in row.former_stripe_ids), None)


def _of_nobody_we_know(letter: WebhookEvent, *, now: datetime) -> Outcome:
    if not letter.stripe_customer_id:
        return Ignored("no_customer")
    if now - letter.received_at < UNKNOWN_CUSTOMER_PATIENCE:
        return Failed(f"No account has the Stripe customer {letter.stripe_customer_id} yet.")
    alerts.raise_alert(
        key=f"unknown_customer:{letter.stripe_customer_id}",
        kind="unknown_customer",
        message=f"Stripe sends events about the customer {letter.stripe_customer_id}, which belongs to no "
        f"account (the last one: {letter.type}). Nothing was granted. If it is one of yours, link it and "
        "replay the event.",
        now=now,
    )
    return Ignored("unknown_customer")


def _follow_clock(letter: WebhookEvent) -> Outcome:
    """A test clock moved: whoever lives on it is looked at again, and takes its time from it (D10)."""
    dwellers = [
        row.account
        for row in Customer.objects.filter(test_clock_id=letter.object_id).select_related("account")
    ]
    outcomes = [_sync(account, reason=letter.type) for account in dwellers]
    if not outcomes:
        return Ignored("unknown_clock")
    return next((outcome for outcome in outcomes if isinstance(outcome, PutOff)), Processed())


def _follow_dispute(letter: WebhookEvent, *, now: datetime) -> Outcome:
    try:
        dispute, customer_id = disputes.find(letter.object_id)
    except gateway.NotFound:
        return Ignored("gone")
    account = _account_with(customer_id)
    if account is None:
        disputes.tell_staff(dispute, account=None, now=now)
        return Ignored("unknown_customer")
    outcome = _sync(account, reason=letter.type)
    if isinstance(outcome, Processed):
        # The sync tells of those that it finds; a charge whose dispute was won is not disputed any more.
        disputes.tell_staff(dispute, account=account, now=now)
    return outcome


def _tell_of_other_versions(letters: Sequence[WebhookEvent], *, now: datetime) -> None:
    """Another version is harmless, as nothing is read from the payload, but it was set by mistake."""
    others = {letter.api_version for letter in letters} - {"", settings.STRIPE_API_VERSION}
    for version in sorted(others):
        alerts.raise_alert(
            key=f"webhook_api_version:{version}",
            kind="webhook_api_version",
            message=f"A webhook endpoint at Stripe sends events in API version {version}; this code speaks "
            f"{settings.STRIPE_API_VERSION}. Make the endpoint anew with that version.",
            now=now,
        )


def _id_in(letter: WebhookEvent, key: str) -> str:
    """An id from the letter's object, expanded or not."""
    data: Any = letter.payload.get("data")
    subject = data.get("object") if isinstance(data, dict) else None
    value = subject.get(key) if isinstance(subject, dict) else None
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else ""
