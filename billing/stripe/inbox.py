"""Stripe's letters, kept and read: the row is the queue, a claim says who reads it, an old claim is free.

The letter box (`billing.webhooks`) keeps; workers drain, nudged or swept by the clock; `reading` does what is
asked. A reader killed at any moment loses nothing: its claim runs out and the next one reads the letter
again, and everything a letter causes is safe twice.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import DataError, connection, transaction
from django.db.models import F

from billing.models import WebhookEvent
from billing.models.webhooks import WebhookEventQuerySet
from billing.stripe import letters, outcomes, reading
from billing.stripe.envelope import Envelope, Malformed
from config import nudge

# Longer than the account's lease and all of Stripe's timeouts together, so that only the dead are overtaken.
CLAIM_SECONDS = 90
# A drain stops taking more after this, well before Celery's soft time limit would stop it in the middle.
DRAIN_SECONDS = 45
HELPING = 500
# A letter that ends its reader every time must not do so for ever. Readers end for other reasons too (a deploy,
# a machine out of memory), so this is more than an honest failure is allowed.
MOST_CLAIMS = 50


def keep(*, letter: Envelope, body: bytes, now: datetime) -> bool:
    """Put one verified letter into the inbox; False when it was there already, which is then counted.

    One statement, safe against the same letter arriving many times at once. Letters of no concern are kept as
    ignored. The workers are nudged after the commit.

    Raises:
        Malformed: the database cannot hold the body as JSON.
    """
    ignored_reason = "account" if letter.foreign_account else "" if letters.meaning(letter.type) else "type"
    moment = connection.ops.adapt_datetimefield_value
    row: dict[str, Any] = {
        "stripe_event_id": letter.event_id,
        "type": letter.type,
        "livemode": letter.livemode,
        "api_version": letter.api_version,
        "stripe_customer_id": letter.customer_id,
        "object_id": letter.object_id,
        # The bytes as they came, except the one character PostgreSQL cannot hold. Nothing is decided from
        # them.
        "payload": body.decode().replace("\\u0000", "\\ufffd"),
        "event_created_at": moment(letter.created_at),
        "received_at": moment(now),
        "deliveries": 1,
        "state": WebhookEvent.State.IGNORED if ignored_reason else WebhookEvent.State.RECEIVED,
        "ignored_reason": ignored_reason,
        "attempts": 0,
        "next_attempt_at": moment(now),
        "claim_token": 0,
        "last_error": "",
    }
    table = WebhookEvent._meta.db_table
    # Names come from this file and the model, values only as parameters.
    statement = (
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) "  # noqa: S608
        f"ON CONFLICT (stripe_event_id) DO UPDATE SET deliveries = {table}.deliveries + 1 "
        "RETURNING deliveries"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, list(row.values()))
            is_new: bool = cursor.fetchone()[0] == 1
    except DataError as error:
        raise Malformed("The database cannot hold this letter.") from error
    if is_new and not ignored_reason:
        transaction.on_commit(lambda: nudge.workers(nudge.READ_LETTERS))
    return is_new


def drain(*, now: datetime, limit: int = 100) -> int:
    """Read the letters that are due, those of one customer together; answers how many were dealt with.

    `now` is wall time at the start. Stops at `limit` letters or after DRAIN_SECONDS; the rest stays due.
    Any number of drains may run at once, in threads or processes.
    """
    started = time.monotonic()
    dealt_with = 0
    while dealt_with < limit and time.monotonic() - started < DRAIN_SECONDS:
        moment = now + timedelta(seconds=time.monotonic() - started)
        claimed = _claim_next(now=moment, limit=limit - dealt_with)
        if not claimed:
            break
        _read(claimed, now=moment)
        dealt_with += len(claimed)
    return dealt_with


def replay(event: WebhookEvent, *, now: datetime) -> None:
    """Put a letter back among those to read, whatever became of it. A reader still at it loses its claim."""
    WebhookEvent.objects.filter(pk=event.pk).update(
        state=WebhookEvent.State.RECEIVED,
        ignored_reason="",
        attempts=0,
        next_attempt_at=now,
        claim_token=F("claim_token") + 1,
        claim_expires_at=None,
        processed_at=None,
        last_error="",
    )
    event.refresh_from_db()
    transaction.on_commit(lambda: nudge.workers(nudge.READ_LETTERS))


def _claim_next(*, now: datetime, limit: int) -> list[WebhookEvent]:
    """The letter that is due longest, with all others that are due about its customer, or about the same object."""
    due = WebhookEvent.objects.due(now)
    with transaction.atomic():
        oldest = _skip_locked(due.order_by("next_attempt_at", "pk")).first()
        if oldest is None:
            return []
        if oldest.stripe_customer_id:
            same = due.filter(stripe_customer_id=oldest.stripe_customer_id)
        elif oldest.object_id:
            same = due.filter(object_id=oldest.object_id)
        else:
            same = due.filter(pk=oldest.pk)
        return _claim(same, now=now, limit=limit)


def _claim(letters_to_claim: WebhookEventQuerySet, *, now: datetime, limit: int) -> list[WebhookEvent]:
    with transaction.atomic():
        claimed = list(_skip_locked(letters_to_claim.order_by("pk"))[:limit])
        WebhookEvent.objects.filter(pk__in=[letter.pk for letter in claimed]).update(
            claim_token=F("claim_token") + 1,
            claim_expires_at=now + timedelta(seconds=CLAIM_SECONDS),
            # Counted when it begins: a letter that kills its reader must run out of attempts too.
            attempts=F("attempts") + 1,
        )
    for letter in claimed:
        letter.claim_token += 1
        letter.attempts += 1
    return claimed


def _skip_locked(rows: WebhookEventQuerySet) -> WebhookEventQuerySet:
    """Locked for this transaction, leaving to others what they have locked. SQLite locks the whole file
    instead."""
    return rows.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)


def _read(claimed: list[WebhookEvent], *, now: datetime) -> None:
    """Do what the letters ask for and write down what became of them."""
    readable = []
    for letter in claimed:
        if letter.attempts > MOST_CLAIMS:
            outcomes.record([letter], outcomes.Failed("Every reader of this letter ended midway."), now=now)
        else:
            readable.append(letter)
    for together in reading.groups(readable):
        outcomes.record(together, reading.read(together, now=now), now=now)
