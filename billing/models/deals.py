"""What is agreed with one customer: who asked, and the offers made to them."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.conf import settings
from django.db import models

from accounts.models import Account


def new_nonce() -> str:
    """What makes an offer's link its own: 96 bits, in no other link."""
    return secrets.token_hex(12)


class Enquiry(models.Model):
    """Somebody wants to talk about a contract. It waits in the queue of staff; words are kept as they came."""

    class State(models.TextChoices):
        NEW = "new", "New"
        TALKING = "talking", "We are talking"
        OFFERED = "offered", "An offer was made"
        WON = "won", "Won"
        LOST = "lost", "Lost"
        SPAM = "spam", "Not meant seriously"

    name = models.CharField(max_length=150)
    email = models.EmailField()
    company = models.CharField(max_length=150, blank=True)
    plan_key = models.CharField(max_length=60, blank=True)
    seats = models.PositiveIntegerField(null=True, blank=True)
    message = models.TextField(max_length=4000)
    # Only where a log-in proves it.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, related_name="enquiries"
    )
    state = models.CharField(max_length=8, choices=State, default=State.NEW)
    handled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    note = models.TextField(max_length=4000, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "enquiries"
        indexes = [models.Index(fields=["state", "-created_at"], name="enquiries_waiting")]

    def __str__(self) -> str:
        return f"{self.name}{f' of {self.company}' if self.company else ''} ({self.get_state_display()})"


class Offer(models.Model):
    """A plan at a price of its own, offered to one account by link and paid by invoice once it is accepted.

    While the subscription that came of it gives the plan, `overrides` are the account's own limits.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        ACCEPTED = "accepted", "Accepted"
        WITHDRAWN = "withdrawn", "Withdrawn"

    class Interval(models.TextChoices):
        MONTH = "month", "month"
        YEAR = "year", "year"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="offers")
    enquiry = models.ForeignKey(
        Enquiry, on_delete=models.PROTECT, null=True, blank=True, related_name="offers"
    )
    plan_key = models.CharField(max_length=60)
    seats = models.PositiveIntegerField(default=1)
    interval = models.CharField(max_length=5, choices=Interval, default=Interval.YEAR)
    # Minor units of `currency` per seat and period. None: what the price list says for so many.
    amount = models.BigIntegerField(null=True, blank=True)
    # The price of the price list that was meant where `amount` is None.
    lookup_key = models.CharField(max_length=120, blank=True)
    # What that price said when the offer was made (billing.deals.agreed): the list may change, an offer does not.
    listed = models.JSONField(default=dict, blank=True)
    currency = models.CharField(max_length=3)
    # By feature key, as in PlanGrant: {"projects": 40, "runs": null}; null is unlimited.
    overrides = models.JSONField(default=dict, blank=True)
    # How many periods it runs; None: it renews until somebody cancels.
    periods = models.PositiveSmallIntegerField(null=True, blank=True)
    trial_days = models.PositiveSmallIntegerField(default=0)
    days_until_due = models.PositiveSmallIntegerField(default=30)
    # What was agreed besides, in words; the customer reads it.
    terms = models.TextField(max_length=4000, blank=True)

    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    recipient = models.EmailField()
    nonce = models.CharField(max_length=24, unique=True, default=new_nonce)
    open_until = models.DateTimeField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    # Who said yes, as they wrote it.
    accepted_name = models.CharField(max_length=150, blank=True)
    accepted_email = models.EmailField(blank=True)
    # The last day of the contract, known once it is accepted.
    until = models.DateTimeField(null=True, blank=True)
    stripe_subscription_id = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(seats__gte=1), name="an_offer_has_a_seat"),
            models.CheckConstraint(
                condition=models.Q(amount__isnull=True, lookup_key__gt="") | models.Q(amount__gt=0),
                name="an_offer_has_a_price",
            ),
        ]
        indexes = [models.Index(fields=["state", "-created_at"], name="offers_waiting")]

    def __str__(self) -> str:
        return f"{self.plan_key} for {self.account} ({self.get_state_display()})"

    def is_open(self, now: datetime) -> bool:
        """Whether it may still be accepted at `now` (the account's time)."""
        return self.state == self.State.OPEN and now < self.open_until
