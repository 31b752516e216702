"""What an account will pay for units at most, and what one member may use of what the account has."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from accounts.models import Account


class Budget(models.Model):
    """Set by the customer: so much money a billing month for units paid one by one; at it, use stops."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, related_name="budget")
    # Minor units; zero: nothing is paid by the unit.
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="a_budget_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} a month for {self.account_id}"


class MemberBudget(models.Model):
    """Within the account's own limits, one member uses at most so many units of a feature per window."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="member_budgets")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    feature = models.CharField(max_length=60)
    # Units per window; zero: none at all.
    units = models.BigIntegerField()
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "feature", "user"], name="one_budget_per_member_and_feature"
            ),
            models.CheckConstraint(condition=models.Q(units__gte=0), name="a_member_budget_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.units} {self.feature} for {self.user_id} in {self.account_id}"
