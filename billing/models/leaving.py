"""Why somebody left, and who asked to withdraw from a contract."""

from __future__ import annotations

from django.db import models

from accounts.models import Account, User


class Departure(models.Model):
    """A cancellation and the reason given for it, so that staff can count reasons. Kept when it is taken back."""

    class Feedback(models.TextChoices):
        # Stripe's words (https://docs.stripe.com/api/subscriptions/update#update_subscription-cancellation_details).
        TOO_EXPENSIVE = "too_expensive", "It costs too much"
        MISSING_FEATURES = "missing_features", "Something I need is missing"
        SWITCHED_SERVICE = "switched_service", "I am going to use something else"
        UNUSED = "unused", "I do not use it enough"
        CUSTOMER_SERVICE = "customer_service", "I was not helped well"
        TOO_COMPLEX = "too_complex", "It is too hard to use"
        LOW_QUALITY = "low_quality", "It does not work well enough"
        OTHER = "other", "Something else"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="departures")
    stripe_subscription_id = models.CharField(max_length=64)
    plan_key = models.CharField(max_length=60)
    feedback = models.CharField(max_length=20, choices=Feedback, blank=True)
    comment = models.CharField(max_length=500, blank=True)
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="departures_newest_first")]

    def __str__(self) -> str:
        return f"{self.account} left {self.plan_key}: {self.feedback or 'no reason given'}"


class Withdrawal(models.Model):
    """A declaration of withdrawal from a contract, as it came in: with or without a log-in, matched or not.

    The confirmation with date and content is owed in the same transaction
    (Directive (EU) 2023/2673, article 11a of the Consumer Rights Directive).
    """

    class State(models.TextChoices):
        RECEIVED = "received", "Received, for staff to settle"
        SETTLED = "settled", "Settled: the money is back, the plan over"
        DECLINED = "declined", "Declined, with a reason"

    reference = models.CharField(max_length=12, unique=True)
    name = models.CharField(max_length=150)
    email = models.EmailField()
    contract = models.CharField(max_length=200, blank=True)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, null=True, blank=True, related_name="withdrawals"
    )
    state = models.CharField(max_length=8, choices=State, default=State.RECEIVED)
    received_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)
    # Account or person has gone meanwhile: name and address are kept for the answer alone.
    is_erased_once_decided = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["state", "received_at"], name="withdrawals_waiting")]

    def __str__(self) -> str:
        return f"{self.reference}: {self.name} ({self.state})"
