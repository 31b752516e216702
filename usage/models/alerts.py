"""When an account wants to be warned, what was crossed, and how far the ledger has been looked through."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from accounts.models import Account


class AlertWish(models.Model):
    """An account's own thresholds. No row: the house's (50, 80, 95 and 100 percent, no sums of money)."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="alert_wish")
    # Percents of an allowance, ascending, each from 1 to 100.
    percents = models.JSONField(default=list)
    # So much in a billing month, in minor units of the currency the account pays in, ascending.
    amounts = models.JSONField(default=list)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "alert wishes"

    def __str__(self) -> str:
        return f"{self.account_id}: {self.percents} %, {self.amounts}"


class Crossing(models.Model):
    """A threshold that was reached in a window under a limit: once, whether it was told or a higher one was."""

    class Kind(models.TextChoices):
        QUOTA = "quota", "Percent of an allowance"
        SPEND = "spend", "Sum of money"

    kind = models.CharField(max_length=5, choices=Kind)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="crossings", db_index=False)
    # Empty for money.
    feature = models.CharField(max_length=60, blank=True)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    # The allowance it is a percent of: a higher one arms every threshold anew. Zero for money.
    limit_units = models.BigIntegerField()
    # A percent, or minor units.
    threshold = models.BigIntegerField()
    crossed_at = models.DateTimeField()
    is_told = models.BooleanField()
    # Of an allowance that was used up: when somebody was told that it is back, or that there was nothing to tell.
    back_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "kind", "feature", "period_start", "limit_units", "threshold"],
                name="one_crossing_per_threshold_window_and_limit",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["period_end"],
                condition=models.Q(kind="quota", threshold=100, back_at__isnull=True),
                name="allowances_to_come_back",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature or 'money'} of {self.account_id}: {self.threshold}"


class LedgerMark(models.Model):
    """How far the ledger has been looked through for crossings.

    A record's number is given before its transaction ends, so a lower number may appear after a higher one. What was
    new at `marked_at` is therefore looked at until every transaction of that time is over, and only then left behind.
    """

    name = models.CharField(max_length=20, unique=True)
    done = models.BigIntegerField()
    marked = models.BigIntegerField()
    # Wall time.
    marked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.done}"
