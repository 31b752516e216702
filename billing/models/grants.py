"""A plan given by staff: comped, grandfathered or an enterprise deal, with a reason and a last day."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models

from accounts.models import Account


class PlanGrantQuerySet(models.QuerySet["PlanGrant"]):
    def valid(self, now: datetime) -> PlanGrantQuerySet:
        return self.filter(starts_at__lte=now, revoked_at__isnull=True).filter(
            models.Q(until__isnull=True) | models.Q(until__gt=now)
        )


class PlanGrant(models.Model):
    """One mechanism for three stories. A valid grant counts beside any subscription; the better one decides."""

    class Kind(models.TextChoices):
        COMPED = "comped", "Comped"
        GRANDFATHERED = "grandfathered", "Grandfathered"
        ENTERPRISE = "enterprise", "Enterprise deal"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="grants")
    kind = models.CharField(max_length=16, choices=Kind)
    plan_key = models.CharField(max_length=60)
    # Individual limits of this deal, by feature key: {"projects": 40, "runs": null}; null is unlimited.
    overrides = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=300)
    starts_at = models.DateTimeField()
    until = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = PlanGrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(until__gt=models.F("starts_at")),
                name="a_grant_ends_after_it_starts",
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="a_grant_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_key} for {self.account}: {self.reason}"
