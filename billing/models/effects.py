"""What was done and must not be done twice, and what a person must look at."""

from __future__ import annotations

from django.db import models

from accounts.models import Account


class Effect(models.Model):
    """A business fact acted upon, once: the key names the fact (`refund:in_123`), the database keeps it unique (D4)."""

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=40)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, related_name="effects"
    )
    detail = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    # When what leaves the building has left (mail sent, Stripe called); empty: the outbox still owes it.
    done_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=models.Q(done_at__isnull=True), name="effects_owed"
            ),
        ]

    def __str__(self) -> str:
        return self.key


class Alert(models.Model):
    """Something staff must know, once per fact, until somebody resolves it."""

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=40)
    account = models.ForeignKey(Account, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    message = models.TextField()
    raised_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=1)
    resolved_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message[:60]}"
