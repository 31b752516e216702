"""The way to Stripe's meters: what is owed to them, written with the act it bills."""

from __future__ import annotations

from django.db import models

from accounts.models import Account
from usage.models.books import UsageRecord


class MeterEvent(models.Model):
    """Outbox to Stripe's meters: one row per metered act, written with it; the identifier is the ledger row's id."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        REJECTED = "rejected"
        # Outcome unknown for over 24 h, or too old for Stripe to take: a person decides.
        REVIEW = "review"

    record = models.OneToOneField(UsageRecord, on_delete=models.PROTECT, related_name="meter_event")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    event_name = models.CharField(max_length=100)
    identifier = models.CharField(max_length=100, unique=True)
    units = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    # First try: after 24 h of unknown outcome Stripe no longer recognises the identifier.
    first_sent_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(state="waiting"), name="meter_events_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_name} {self.units} ({self.state})"
