"""The account's place at Stripe: one row per account, carrying the lease under which its billing changes."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import models

from accounts.models import Account


class Customer(models.Model):
    """One per account. Made before Stripe is asked, so that a crash in between is found again (idempotency_key)."""

    account = models.OneToOneField(
        Account, on_delete=models.PROTECT, related_name="customer", primary_key=True
    )
    # Empty until Stripe has answered, and again after the customer was deleted there.
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, blank=True)
    # Sent with the creation call; committed before it, so that a retry after a crash finds the same customer.
    creation_key = models.CharField(max_length=80, unique=True)
    # Kept when the customer is deleted at Stripe, so that late events of the old one still find the account.
    former_stripe_ids = models.JSONField(default=list, blank=True)
    livemode = models.BooleanField(default=False)
    currency = models.CharField(max_length=3, blank=True)
    created_at = models.DateTimeField()

    # The Stripe test clock this customer lives on (test mode only) and the time it shows.
    test_clock_id = models.CharField(max_length=64, blank=True)
    clock_now = models.DateTimeField(null=True, blank=True)

    # The default card, as last seen at Stripe.
    card_brand = models.CharField(max_length=32, blank=True)
    card_last4 = models.CharField(max_length=4, blank=True)
    card_exp_month = models.PositiveSmallIntegerField(null=True, blank=True)
    card_exp_year = models.PositiveSmallIntegerField(null=True, blank=True)
    # A keyed hash by which the same number is known on another account.
    card_digest = models.CharField(max_length=64, blank=True, default="", db_default="", db_index=True)

    # The lease (D5): who holds a greater token may write; an expired holder's late write is refused by its token.
    lease_token = models.BigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    lease_purpose = models.CharField(max_length=40, blank=True)
    # Syncs asked for and syncs served: what arrives while a sync runs only raises `sync_wanted`.
    sync_wanted = models.BigIntegerField(default=0)
    sync_served = models.BigIntegerField(default=0)
    synced_at = models.DateTimeField(null=True, blank=True)

    # Raised whenever what the account may do could have changed (projection, grant): counters carry it as a stamp.
    access_version = models.BigIntegerField(default=0)

    # The gravest of its disputes: "" none or won, "open", "lost".
    dispute_state = models.CharField(max_length=8, blank=True)
    # Set by staff: no access beyond reading and exporting one's own data.
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(sync_served__lte=models.F("sync_wanted")), name="syncs_served_were_wanted"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} at Stripe ({self.stripe_customer_id or 'not yet'})"

    @property
    def is_on_hold(self) -> bool:
        """By staff, or for a dispute that was lost: nothing can be used or bought."""
        return self.suspended_at is not None or self.dispute_state == "lost"

    @property
    def card_ends_at(self) -> datetime | None:
        """The first moment at which the card is not valid any more: cards are valid to the end of their month."""
        if not self.card_exp_month or not self.card_exp_year:
            return None
        years, month = divmod(self.card_exp_month, 12)
        return datetime(self.card_exp_year + years, month + 1, 1, tzinfo=UTC)
