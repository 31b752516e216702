"""The way to Stripe's meters: acts that wait, and deliveries, in which the acts of an hour travel together."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from accounts.models import Account
from usage.models.books import UsageRecord


class MeterDeliveryQuerySet(models.QuerySet["MeterDelivery"]):
    def waiting(self) -> MeterDeliveryQuerySet:
        return self.filter(state=MeterDelivery.State.WAITING)

    def due(self, now: datetime) -> MeterDeliveryQuerySet:
        """Those to be tried at `now` (wall time), also those whose sender has not come back."""
        return self.waiting().filter(next_attempt_at__lte=now)


class MeterDelivery(models.Model):
    """One meter event at Stripe: acts of one account and meter, within one hour and one billing period, added up.

    What it says never changes once it is made, so it can be sent any number of times under its identifier.
    """

    class State(models.TextChoices):
        """waiting   to be sent, or being sent
        sent      Stripe has it
        rejected  Stripe has refused it, at once or later
        review    a person decides: send it again, bill it by an invoice item, or settle it in another way
        billed    billed by an invoice item instead
        settled   a person has seen to it in another way, or it was written off with its closed account
        """

        WAITING = "waiting"
        SENT = "sent"
        REJECTED = "rejected"
        REVIEW = "review"
        BILLED = "billed"
        SETTLED = "settled"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+", db_index=False)
    event_name = models.CharField(max_length=100)
    identifier = models.CharField(max_length=100, unique=True)
    units = models.BigIntegerField()
    # How many acts are in it.
    acts = models.PositiveIntegerField()
    # The time of the last of them, in the account's time: what Stripe is told.
    occurred_at = models.DateTimeField()
    frozen_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    # A sender has it. Also the token of its claim: who comes back to a greater number has been overtaken.
    is_in_flight = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    # The first try whose outcome nobody knows; empty when every try so far certainly did not arrive.
    unknown_since = models.DateTimeField(null=True, blank=True)
    # Whom it was reported for: a deleted customer's account may have another one later.
    stripe_customer_id = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    # Stripe's meter has it, and no invoice does: a person bills it, and its sum there is right as it is.
    is_counted = models.BooleanField(default=False, db_default=False)
    stripe_invoice_item_id = models.CharField(max_length=64, blank=True)

    objects = MeterDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "meter deliveries"
        constraints = [
            # Stripe takes one call at a time for a customer and meter:
            # https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#rate-limits
            models.UniqueConstraint(
                fields=["account", "event_name"],
                condition=Q(is_in_flight=True),
                name="one_delivery_in_flight_per_customer_and_meter",
            ),
            models.CheckConstraint(
                condition=Q(units__gt=0, acts__gt=0), name="a_delivery_carries_at_least_one_unit"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state="waiting"), name="meter_deliveries_waiting"
            ),
            models.Index(fields=["account", "event_name", "occurred_at"], name="meter_deliveries_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.units} {self.event_name} of {self.account_id} ({self.state})"


# In a person's hands.
OPEN = (MeterDelivery.State.REJECTED, MeterDelivery.State.REVIEW)


class MeterEvent(models.Model):
    """Outbox to Stripe's meters: one row per act that is paid by the unit, written with it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        # In a delivery, which knows the rest.
        FROZEN = "frozen"

    record = models.OneToOneField(UsageRecord, on_delete=models.PROTECT, related_name="meter_event")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    event_name = models.CharField(max_length=100)
    identifier = models.CharField(max_length=100, unique=True)
    units = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    delivery = models.ForeignKey(
        MeterDelivery, on_delete=models.PROTECT, null=True, blank=True, related_name="events"
    )
    # Filled by whoever writes the row, read by nobody since deliveries are what is tried.
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField()
    last_error = models.TextField(blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["id"], condition=Q(state="waiting"), name="meter_events_waiting"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="waiting", delivery__isnull=True)
                | Q(state="frozen", delivery__isnull=False),
                name="a_frozen_event_has_its_delivery",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_name} {self.units} ({self.state})"
