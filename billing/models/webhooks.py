"""Stripe's letters as we keep them (D3): the row is the queue, the broker only a nudge."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from django.db import models

# So many letters are stripped with one statement.
TOGETHER = 200
# What a letter can be read again by.
IDS = ("id", "object", "customer", "charge", "payment_intent")


class WebhookEventQuerySet(models.QuerySet["WebhookEvent"]):
    def due(self, now: datetime) -> WebhookEventQuerySet:
        """Letters to read now: not claimed, or claimed by a reader whose lease ran out."""
        return self.filter(state__in=WebhookEvent.WAITING, next_attempt_at__lte=now).filter(
            models.Q(claim_expires_at__isnull=True) | models.Q(claim_expires_at__lte=now)
        )

    def with_words(self, *, until: datetime) -> WebhookEventQuerySet:
        """Letters that came before `until`, are dealt with and still say more than ids: what came has its moment."""
        return self.filter(received_at__lt=until, payload__has_key="created").exclude(
            state__in=WebhookEvent.WAITING
        )

    def strip(self) -> None:
        """Leave of the letters the ids they name, by which they can be read again: names, addresses and cards go."""
        wordy = self.only("payload").iterator(chunk_size=TOGETHER)
        while letters := list(itertools.islice(wordy, TOGETHER)):
            for letter in letters:
                letter.payload = _ids_of(letter.payload)
            self.model.objects.bulk_update(letters, ["payload"])


class WebhookEvent(models.Model):
    """A letter from Stripe. An event is a hint: what to do is always asked of Stripe, never read from the payload."""

    class State(models.TextChoices):
        RECEIVED = "received", "Received"
        FAILED = "failed", "Failed, will be tried again"
        PROCESSED = "processed", "Processed"
        IGNORED = "ignored", "Ignored"
        DEAD = "dead", "Dead: given up, needs a person"

    WAITING = ("received", "failed")

    stripe_event_id = models.CharField(max_length=128)
    type = models.CharField(max_length=120)
    livemode = models.BooleanField()
    api_version = models.CharField(max_length=40, blank=True)
    # Whom it is about, read from the envelope; empty when the event names no customer.
    stripe_customer_id = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=128, blank=True)
    payload = models.JSONField()
    event_created_at = models.DateTimeField()
    received_at = models.DateTimeField()
    deliveries = models.PositiveIntegerField(default=1)

    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    # Why it was ignored, in one word: livemode, type, account, unknown_customer, api_version.
    ignored_reason = models.CharField(max_length=40, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    # The claim: compare-and-set with an expiry, so that a reader killed midway loses nothing.
    claim_token = models.BigIntegerField(default=0)
    claim_expires_at = models.DateTimeField(null=True, blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    objects = WebhookEventQuerySet.as_manager()

    class Meta:
        constraints = [
            # Here and below rather than on the fields: a text field's own index brings a second one for LIKE on
            # PostgreSQL, and every letter of every customer would pay for it.
            models.UniqueConstraint(fields=["stripe_event_id"], name="one_letter_per_stripe_event"),
        ]
        indexes = [
            models.Index(fields=["stripe_customer_id"], name="letters_of_customer"),
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(state__in=["received", "failed"]),
                name="letters_waiting",
            ),
            models.Index(fields=["-received_at"], name="letters_newest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_event_id} ({self.state})"


def _ids_of(payload: Any) -> dict[str, Any]:
    subject = ((payload or {}).get("data") or {}).get("object") or {}
    ids = {key: subject[key] for key in IDS if isinstance(subject.get(key), str)}
    return {
        **{key: payload[key] for key in ("id", "object", "type") if key in payload},
        "data": {"object": ids},
        **_thin(payload),
    }


def _thin(payload: Any) -> dict[str, Any]:
    """A thin (v2) letter names what it is about beside its data: https://docs.stripe.com/event-destinations#thin-events"""
    about = (payload or {}).get("related_object")
    if not isinstance(about, dict):
        return {}
    named = {key: about[key] for key in ("id", "type", "url") if isinstance(about.get(key), str)}
    return {"related_object": named}


class WebhookRejection(models.Model):
    """How many letters were refused, by day and reason: all that an unsigned request may leave behind."""

    day = models.DateField()
    # signature | stale | future | too_large | malformed
    reason = models.CharField(max_length=20)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "reason"], name="one_rejection_count_per_day_and_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.reason}: {self.count}"
