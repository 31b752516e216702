"""Units bought ahead or given: immutable grants, and an entry for every change of what is left of one."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from accounts.models import Account

if TYPE_CHECKING:
    from uuid import UUID

FIRST_COME = 100


class CreditGrantQuerySet(models.QuerySet["CreditGrant"]):
    def usable(self, now: datetime) -> CreditGrantQuerySet:
        """Those with something left whose time is not over."""
        return self.filter(remaining__gt=0).filter(
            models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        )

    def burnable(self, account: Account | UUID, feature: str, now: datetime) -> CreditGrantQuerySet:
        """What can be drawn from, in the order it is drawn: by priority, then what ends first, then the oldest."""
        return self.filter(account=account, feature=feature).usable(now).as_drawn()

    def as_drawn(self) -> CreditGrantQuerySet:
        """In the order of drawing."""
        return self.order_by("priority", models.F("expires_at").asc(nulls_last=True), "granted_at", "id")

    def expired(self, now: datetime) -> CreditGrantQuerySet:
        """Those over whose rest has not been written off; `now` is wall time, test clocks are asked by their own."""
        by_the_wall = models.Q(account__customer__clock_now__isnull=True, expires_at__lte=now)
        by_its_clock = models.Q(account__customer__clock_now__gte=models.F("expires_at"))
        return self.filter(by_the_wall | by_its_clock, remaining__gt=0)


class CreditGrant(models.Model):
    """So many units of a feature, drawn when the window's allowance is used up. Only `remaining` ever changes."""

    class Source(models.TextChoices):
        PURCHASE = "purchase", "Bought"
        GIFT = "gift", "Given"
        REFUND = "refund", "Made good"
        CORRECTION = "correction", "Corrected"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="credit_grants")
    feature = models.CharField(max_length=60)
    units = models.BigIntegerField()
    # The sum of the entries' units, kept beside them so that drawing reads one row.
    remaining = models.BigIntegerField()
    # Lower is drawn first.
    priority = models.IntegerField(default=FIRST_COME)
    granted_at = models.DateTimeField()
    # The first moment it cannot be drawn from any more; empty: never.
    expires_at = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=10, choices=Source)
    # The fact it was given for (`pack:pi_…`), so that the fact gives once.
    source_key = models.CharField(max_length=200, unique=True)
    # What was paid for it, in minor units with tax; zero for what was given.
    amount_paid = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    stripe_payment_intent_id = models.CharField(max_length=64, blank=True, db_index=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)

    objects = CreditGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(remaining__gte=0) & models.Q(remaining__lte=models.F("units")),
                name="credits_left_are_between_none_and_all",
            ),
            models.CheckConstraint(condition=models.Q(units__gt=0), name="a_credit_grant_has_units"),
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("granted_at")),
                name="credits_end_after_they_begin",
            ),
            models.CheckConstraint(
                condition=models.Q(source="purchase") | ~models.Q(reason=""),
                name="credits_given_have_a_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "feature", "priority"],
                condition=models.Q(remaining__gt=0),
                name="credits_left",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining} of {self.units} {self.feature}"

    def is_over(self, now: datetime) -> bool:
        """Past its last day."""
        return self.expires_at is not None and now >= self.expires_at


class CreditEntry(models.Model):
    """One change of a grant's `remaining`; never edited. The entries of a grant add up to what is left of it."""

    class Kind(models.TextChoices):
        GRANT = "grant", "Added"
        BURN = "burn", "Used"
        HOLD = "hold", "Held"
        RELEASE = "release", "Back"
        REFUND = "refund", "Refunded"
        EXPIRE = "expire", "Expired"
        CORRECT = "correct", "Corrected"

    grant = models.ForeignKey(CreditGrant, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=8, choices=Kind)
    # Signed: what is added is above zero.
    units = models.BigIntegerField()
    # The act in the ledger, or the reservation, it was for; these rows live in the room above.
    usage_record_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    reservation_id = models.BigIntegerField(null=True, blank=True, db_index=True)
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name_plural = "credit entries"
        constraints = [
            models.CheckConstraint(condition=~models.Q(units=0), name="a_credit_entry_changes_something"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.units:+}"
