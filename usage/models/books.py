"""The books: the ledger of acts, the counter of each window and of each member in it, the daily roll-up."""

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
    # Of the units: burned from credits, and to be paid by the unit (the rest came out of the window's allowance).
    credited = models.BigIntegerField(default=0, db_default=0)
    billed = models.BigIntegerField(default=0, db_default=0)
    # What the billed units cost, in minor units, at the price and in the currency of then (usage.denominations).
    cost = models.BigIntegerField(default=0, db_default=0)
    # The counter after this act, and the limit it was allowed under (empty: none).
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

    Units are drawn from the window's allowance first, then from credits, then paid by the unit; `used` is all of them,
    and what is neither `credited` nor `billed` came out of the allowance.

    The terms (`limit_units`, `paid_limit`, `unit_amount`, `asks_first`, `counts_members`, `valid_until`) are what
    entitlements, credits and budgets said when last asked: as long as the stamp (catalog fingerprint and the customer's
    access_version) holds and `valid_until` is ahead, a consume needs no other look.
    That `used` covers `credited` and `billed` is looked at by `verify_usage`: PostgreSQL reads the text of every check
    constraint anew with each act, and one more takes longer than changing the row.
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
    credited = models.BigIntegerField(default=0, db_default=0)
    billed = models.BigIntegerField(default=0, db_default=0)
    # Held for work under way: of the allowance, and of what may be paid.
    reserved = models.BigIntegerField(default=0)
    paid_reserved = models.BigIntegerField(default=0, db_default=0)
    # The window's allowance, rolled-over units among it. None is unlimited, zero is zero.
    limit_units = models.BigIntegerField(null=True, blank=True)
    rolled_over = models.BigIntegerField(default=0, db_default=0)
    # Where the rolled-over units come from, soonest to lapse first: [[units, windows they last for], …].
    rolled_lots = models.JSONField(null=True, blank=True)
    is_metered = models.BooleanField(default=False)
    # Units that may be paid for: None is as many as are used, zero is none.
    paid_limit = models.BigIntegerField(null=True, blank=True, default=0, db_default=0)
    # Minor units for each paid unit; None where a unit has no one price (none is paid for, or it is in tiers).
    unit_amount = models.BigIntegerField(null=True, blank=True)
    # Beyond the allowance ask credits, forgiveness and budgets; else units are paid for or refused at once.
    asks_first = models.BooleanField(default=False, db_default=False)
    # Members have budgets of their own: acts of people are counted for each of them too.
    counts_members = models.BooleanField(default=False, db_default=False)
    # Where months are counted from, if the month after this one may begin on the same terms unasked.
    anchor = models.DateTimeField(null=True, blank=True)
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

    @property
    def from_allowance(self) -> int:
        """Units that came out of the window's allowance."""
        return self.used - self.credited - self.billed

    @property
    def allowance_left(self) -> int | None:
        """Units of the allowance that are neither used nor held; None: unlimited."""
        if self.limit_units is None:
            return None
        return max(self.limit_units - self.from_allowance - self.reserved, 0)

    @property
    def paid_left(self) -> int | None:
        """Units that may still be paid for; None: as many as are used."""
        if self.paid_limit is None:
            return None
        return max(self.paid_limit - self.billed - self.paid_reserved, 0)

    @property
    def limit(self) -> int | None:
        """Where `used` will end as things stand: the allowance, what credits gave, what may be paid; None: nowhere."""
        if self.limit_units is None or self.paid_limit is None:
            return None
        return self.limit_units + self.credited + self.paid_limit


class MemberCounter(models.Model):
    """Units one member used of a feature in one window of the account; kept while members have budgets."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    period_start = models.DateTimeField()
    used = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "user", "feature", "period_start"],
                name="one_counter_per_member_feature_period",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature} of {self.user_id} in {self.account_id}: {self.used}"


class UsageDay(models.Model):
    """Units per account, feature, UTC day and actor: what charts and reports read.

    The actor is a member, a key or both; 0 stands for none. They are numbers and not references, so that what was used
    stays in the sum when the person or the key is gone.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    feature = models.CharField(max_length=60)
    day = models.DateField()
    user_id = models.BigIntegerField(default=0, db_default=0)
    api_key_id = models.BigIntegerField(default=0, db_default=0)
    units = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "day", "user_id", "api_key_id"],
                name="one_total_per_account_feature_day_actor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.feature} {self.units}"


class Repair(models.Model):
    """A number of the books that was wrong and was put right: what it said, what the ledger says, who and why."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    # "used", "credited", "billed" of the window that began at period_start; "units" of `day`.
    what = models.CharField(max_length=40)
    feature = models.CharField(max_length=60)
    period_start = models.DateTimeField(null=True, blank=True)
    day = models.DateField(null=True, blank=True)
    before = models.BigIntegerField()
    after = models.BigIntegerField()
    reason = models.CharField(max_length=200)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.what} of {self.feature}: {self.before} → {self.after}"
