"""What an account holds for as long as it holds it: standing counts by feature, and the runs that are going on."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from accounts.models import Account


class Gauge(models.Model):
    """How many of a feature an account has now: projects, bookmarks, bytes. Its row is also the queue for the limit.

    The limit is not kept here: it is asked of entitlements by whoever holds this row.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    value = models.BigIntegerField(default=0)
    # When it was first seen to be above what the plan gives (a downgrade, a count set from outside); empty: it is not.
    over_since = models.DateTimeField(null=True, blank=True)
    # The customer's access_version when this was last held against the plan; empty: never.
    noted_version = models.BigIntegerField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "feature"], name="one_gauge_per_account_feature"),
            models.CheckConstraint(condition=models.Q(value__gte=0), name="gauges_are_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.value} {self.feature} of {self.account_id}"


class GaugeClaim(models.Model):
    """One thing that was counted by its name ("project:7"), so that it is counted once and let go once."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    key = models.CharField(max_length=200)
    units = models.BigIntegerField()
    claimed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "key"], name="one_claim_per_account_feature_key"
            ),
            models.CheckConstraint(condition=models.Q(units__gt=0), name="a_claim_holds_at_least_one_unit"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.units} {self.feature}"


class SlotQuerySet(models.QuerySet["Slot"]):
    def live(self, now: datetime) -> SlotQuerySet:
        """Those whose holder was heard of lately enough."""
        return self.filter(expires_at__gt=now)


class Slot(models.Model):
    """One run that is going on. Its holder says so again and again; whoever falls silent has lost it, by the clock."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    # Names the run, so that taking twice is taking once.
    key = models.CharField(max_length=200)
    taken_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    objects = SlotQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "key"], name="one_slot_per_account_feature_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: one of {self.feature} until {self.expires_at:%Y-%m-%d %H:%M:%S}"
