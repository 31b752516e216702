"""A price that rises for those who have it, one by one: told ahead, moved before the renewal, undone at will."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from accounts.models import Account


class PriceRise(models.Model):
    """One campaign. Running until every step is over, or stopped."""

    # What it moves away from, a lookup key or one price's id at Stripe; and where to.
    from_name = models.CharField(max_length=120)
    to_lookup_key = models.CharField(max_length=120)
    to_price_id = models.CharField(max_length=64)
    notice_days = models.PositiveIntegerField()
    reason = models.CharField(max_length=300)
    begun_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    begun_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.from_name} to {self.to_lookup_key}, {self.begun_at:%Y-%m-%d}"


class PriceRiseStepQuerySet(models.QuerySet["PriceRiseStep"]):
    def unfinished(self) -> PriceRiseStepQuerySet:
        """Something is still to be done about them, also when the campaign was stopped."""
        return self.filter(state__in=(*PriceRiseStep.WAITING, PriceRiseStep.State.UNDOING))


class PriceRiseStep(models.Model):
    """One account's item in a campaign. Amounts are minor units a period, for one of the quantity."""

    class State(models.TextChoices):
        PLANNED = "planned", "To be told"
        TOLD = "told", "Told, to be moved before the renewal"
        # Written before Stripe is asked, so that an answer that is lost leaves a trace.
        MOVING = "moving", "Being moved: Stripe may have done it"
        MOVED = "moved", "Moved: the next invoice has the new price"
        UNDOING = "undoing", "To be given the old price again"
        LEFT_OUT = "left_out", "Left out"
        UNDONE = "undone", "Undone: the old price again"

    WAITING = ("planned", "told", "moving")

    rise = models.ForeignKey(PriceRise, on_delete=models.PROTECT, related_name="steps")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    stripe_subscription_id = models.CharField(max_length=64)
    stripe_item_id = models.CharField(max_length=64)
    old_price_id = models.CharField(max_length=64)
    old_amount = models.BigIntegerField()
    new_amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.PLANNED)
    told_at = models.DateTimeField(null=True, blank=True)
    # The renewal from which the new price is charged, in the account's time.
    applies_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)

    objects = PriceRiseStepQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rise", "stripe_item_id"], name="one_step_per_rise_and_item"),
        ]
        indexes = [
            models.Index(
                fields=["state"],
                condition=models.Q(state__in=["planned", "told", "moving", "undoing"]),
                name="price_rise_steps_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.old_amount} to {self.new_amount} {self.currency} ({self.state})"

    @property
    def delta(self) -> int:
        """Minor units more (below zero: less) each period."""
        return (self.new_amount - self.old_amount) * self.quantity
