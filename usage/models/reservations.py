"""Units held before the work and settled after it."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from accounts.models import Account, ApiKey, User


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def holding(self, now: datetime) -> ReservationQuerySet:
        """Those whose units nobody else may have at `now` (the account's time)."""
        return self.filter(state=Reservation.State.HELD, expires_at__gt=now)

    def overdue(self, now: datetime) -> ReservationQuerySet:
        """Those whose time is over and whose units have not gone back to the books yet."""
        return self.filter(state=Reservation.State.HELD, expires_at__lte=now)


class Reservation(models.Model):
    """So many units set aside for work under way: at most so many can be counted for it without asking again.

    held      set aside in the window's counter (`reserved`, `paid_reserved`) and in credits
    settled   counted: `record_id` is the act in the ledger
    released  the work failed or was called off
    expired   its time passed; what was set aside went back to whoever asked next

    Times are the account's. Its references carry no database constraint, as those of the ledger (UsageRecord).
    """

    class State(models.TextChoices):
        HELD = "held"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    feature = models.CharField(max_length=60)
    units = models.BigIntegerField()
    # Of the units: to be burned from credits, and to be paid by the unit; the rest is of the window's allowance.
    credited = models.BigIntegerField(default=0)
    billed = models.BigIntegerField(default=0)
    idempotency_key = models.CharField(max_length=200)
    # Start of the window it is counted in, also when it is settled after the window's end.
    period_start = models.DateTimeField()
    held_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.HELD)
    ended_at = models.DateTimeField(null=True, blank=True)
    # Units it was settled for; more than were held means a second act in the ledger for the rest.
    settled_units = models.BigIntegerField(null=True, blank=True)
    # The key of the act in the ledger: ours, so that no act of the caller's can be in its way.
    ledger_key = models.CharField(max_length=200)
    record_id = models.BigIntegerField(null=True, blank=True)
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

    objects = ReservationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "idempotency_key"], name="one_reservation_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=models.Q(units__gt=0, credited__gte=0, billed__gte=0)
                & models.Q(units__gte=models.F("credited") + models.F("billed")),
                name="a_reservation_holds_what_its_sources_give",
            ),
            models.CheckConstraint(
                condition=models.Q(state="settled", record_id__isnull=False)
                | (~models.Q(state="settled") & models.Q(record_id__isnull=True)),
                name="a_settled_reservation_has_its_record",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "feature", "expires_at"],
                condition=models.Q(state="held"),
                name="reservations_held",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.units} {self.feature} of {self.account_id} ({self.state})"

    @property
    def from_allowance(self) -> int:
        """Units set aside of the window's allowance."""
        return self.units - self.credited - self.billed
