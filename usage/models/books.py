"""The books: the ledger of acts, the counter of each window, the daily roll-up."""

from __future__ import annotations

from django.db import models

from accounts.models import Account, ApiKey, User


class UsageRecord(models.Model):
    """One act of use. Never edited, never deleted by the product; `used_after` proves the order.

    Its references carry no database constraint: checking one takes a row lock on the account or the key for every
    act, and one service key acts for all accounts. The counter an act went into has the constraint on its account.
    """

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="usage_records", db_index=False, db_constraint=False
    )
    feature = models.CharField(max_length=60)
    units = models.BigIntegerField()
    # The counter after this act, and the limit it was allowed under (empty: unlimited or metered).
    used_after = models.BigIntegerField()
    limit_at_grant = models.BigIntegerField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=200)
    # Start of the usage period it counted in (the counter's key) and the account's time of the act.
    period_start = models.DateTimeField()
    recorded_at = models.DateTimeField()
    user = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "idempotency_key"], name="one_record_per_idempotency_key"
            ),
            models.CheckConstraint(condition=models.Q(units__gt=0), name="a_record_counts_at_least_one_unit"),
        ]
        indexes = [models.Index(fields=["account", "-id"], name="usage_of_account")]

    def __str__(self) -> str:
        return f"{self.units} {self.feature} by {self.account_id}"


class UsageCounter(models.Model):
    """Units used by an account, of a feature, in one usage period. The period is part of the key: nothing is reset.

    `limit_units`, `valid_until` and `stamp` are what entitlements said when last asked: as long as the stamp (catalog
    fingerprint and the customer's access_version) holds and `valid_until` is ahead, a consume needs no other look.
    No index on the numbers: an index there would end HOT updates.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    # Units counted here: those of the ledger with this period_start, and `carried`.
    used = models.BigIntegerField(default=0)
    # Units counted in other windows that count here too, because a change of plan moved the anchor mid-window.
    carried = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    # None is unlimited (or metered), zero is zero.
    limit_units = models.BigIntegerField(null=True, blank=True)
    is_metered = models.BooleanField(default=False)
    valid_until = models.DateTimeField()
    stamp = models.CharField(max_length=80)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "period_start"], name="one_counter_per_account_feature_period"
            ),
            models.CheckConstraint(
                condition=models.Q(used__gte=0, reserved__gte=0), name="counters_are_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature} of {self.account_id} from {self.period_start:%Y-%m-%d}: {self.used}"


class UsageDay(models.Model):
    """Units per account, feature and UTC day: what charts and reports read."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    day = models.DateField()
    units = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "day"], name="one_total_per_account_feature_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.feature} {self.units}"
