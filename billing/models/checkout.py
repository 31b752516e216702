"""The way to the till: sessions opened for an account, and who has had a trial already."""

from __future__ import annotations

from django.db import models

from accounts.models import Account


class CheckoutIntent(models.Model):
    """A hosted Checkout session we opened. At most one is open per account; older ones are expired at Stripe."""

    class State(models.TextChoices):
        # The row is committed before Stripe is asked, so a crash in between is found again by its key.
        OPENING = "opening"
        OPEN = "open"
        COMPLETE = "complete"
        EXPIRED = "expired"

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="checkouts")
    price_lookup_key = models.CharField(max_length=120)
    quantity = models.PositiveIntegerField(default=1)
    trial_days = models.PositiveIntegerField(default=0)
    # Stripe's id of the code that came with a link; empty: one can be typed on the page.
    promotion_code = models.CharField(max_length=64, blank=True)
    # ISO 4217; empty: the price's own.
    currency = models.CharField(max_length=3, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.OPENING)
    idempotency_key = models.CharField(max_length=100, unique=True)
    stripe_session_id = models.CharField(max_length=128, unique=True, null=True, blank=True)
    url = models.URLField(max_length=800, blank=True)
    started_by = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=models.Q(state__in=["opening", "open"]),
                name="one_open_checkout_per_account",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.price_lookup_key} × {self.quantity} for {self.account} ({self.state})"


class TrialRedemption(models.Model):
    """Someone who has had their trial, by a keyed hash of what identifies them: account, address, card."""

    class Kind(models.TextChoices):
        ACCOUNT = "account"
        EMAIL = "email"
        CARD = "card"

    kind = models.CharField(max_length=8, choices=Kind)
    identity_digest = models.CharField(max_length=64, unique=True)
    account = models.ForeignKey(Account, on_delete=models.SET_NULL, null=True, related_name="+")
    stripe_subscription_id = models.CharField(max_length=64)
    redeemed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"trial by {self.kind} at {self.redeemed_at:%Y-%m-%d}"
