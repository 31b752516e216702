"""Changes of what was bought: one row for each that somebody confirmed, at once or for the period's end."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

from accounts.models import Account

DAY = timedelta(hours=24)


class PlanChangeQuerySet(models.QuerySet["PlanChange"]):
    def tried(self, *, now: datetime) -> PlanChangeQuerySet:
        """Those that somebody confirmed on our pages in the last 24 hours, whatever became of them."""
        return self.filter(created_at__gt=now - DAY, started_by__isnull=False)

    def counted(self, *, now: datetime) -> PlanChangeQuerySet:
        """Those of them that count against what an account may change in a day."""
        return self.tried(now=now).exclude(state=PlanChange.State.FAILED)

    def open(self) -> PlanChangeQuerySet:
        """Those whose end is not known yet."""
        return self.filter(state__in=PlanChange.OPEN)

    def planned(self) -> PlanChangeQuerySet:
        """Those for the period's end, also while a change at once may still take their place."""
        return self.filter(state__in=[PlanChange.State.SCHEDULED, PlanChange.State.SET_ASIDE])


class PlanChange(models.Model):
    """From one price and quantity to another. The nonce of the page it was confirmed on makes it happen once."""

    class State(models.TextChoices):
        # Committed before Stripe is asked; what became of it is read from Stripe by the account's next sync.
        STARTED = "started", "Sent to Stripe"
        WAITING = "waiting", "Waits for the payment to be confirmed"
        SCHEDULED = "scheduled", "Will happen at the period's end"
        # An upgrade took its place: paid, it is taken back; declined, called off or forgotten, it is planned again.
        SET_ASIDE = "set_aside", "Set aside for a change at once"
        DONE = "done", "Done"
        FAILED = "failed", "Did not happen"
        UNDONE = "undone", "Taken back before it happened"

    OPEN = ("started", "waiting", "scheduled", "set_aside")
    # Stands in `failure` until the next sync has seen that it is taken back.
    CALLED_OFF = "called off"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="plan_changes")
    nonce = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.STARTED)
    # At the period's end by a schedule at Stripe; otherwise at once, once it is paid.
    is_later = models.BooleanField(default=False)

    stripe_subscription_id = models.CharField(max_length=64, db_index=True)
    from_plan_key = models.CharField(max_length=60)
    from_price = models.CharField(max_length=120)
    from_quantity = models.PositiveIntegerField()
    to_plan_key = models.CharField(max_length=60)
    to_price = models.CharField(max_length=120)
    to_quantity = models.PositiveIntegerField()

    # What the customer was shown and agreed to, in minor units: due at once, and of every period from then on.
    shown_amount = models.BigIntegerField()
    shown_recurring = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    takes_effect_at = models.DateTimeField()
    stripe_invoice_id = models.CharField(max_length=64, blank=True)
    # Where the customer's bank confirms the payment.
    invoice_url = models.URLField(max_length=500, blank=True)
    stripe_schedule_id = models.CharField(max_length=64, blank=True)
    # For people: why it did not happen.
    failure = models.CharField(max_length=300, blank=True)

    started_by = models.ForeignKey(
        "accounts.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = PlanChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(state="scheduled"),
                name="one_scheduled_change_per_account",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(state="waiting"),
                name="one_change_waiting_for_payment_per_account",
            ),
            models.CheckConstraint(
                condition=models.Q(shown_amount__gte=0), name="a_change_never_shows_less_than_nothing_due"
            ),
        ]
        indexes = [models.Index(fields=["account", "-created_at"], name="changes_of_account")]

    def __str__(self) -> str:
        return (
            f"{self.from_price} × {self.from_quantity} → {self.to_price} × {self.to_quantity} ({self.state})"
        )

    @property
    def is_only_seats(self) -> bool:
        """The plan and its period stay; only the number of seats differs."""
        return self.from_price == self.to_price
