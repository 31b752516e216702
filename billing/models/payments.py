"""What was asked for and what was paid: one row per Stripe invoice, in minor units."""

from __future__ import annotations

from django.db import models

from accounts.models import Account


class Payment(models.Model):
    """An invoice as the customer's history shows it. Written by sync from Stripe's invoice, never from an event."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="payments")
    stripe_invoice_id = models.CharField(max_length=64, unique=True)
    stripe_subscription_id = models.CharField(max_length=64, blank=True, db_index=True)
    stripe_charge_id = models.CharField(max_length=64, blank=True, db_index=True)
    stripe_payment_intent_id = models.CharField(max_length=64, blank=True, db_index=True)
    number = models.CharField(max_length=60, blank=True)
    # draft | open | paid | void | uncollectible
    status = models.CharField(max_length=16)
    billing_reason = models.CharField(max_length=40, blank=True)
    description = models.CharField(max_length=300, blank=True)
    currency = models.CharField(max_length=3)
    amount_due = models.BigIntegerField()
    amount_paid = models.BigIntegerField()
    amount_refunded = models.BigIntegerField(default=0)
    # "" none, won or a mere inquiry; "open": the bank asks for it; "lost": the bank has taken `amount_taken_back`.
    dispute_state = models.CharField(max_length=8, blank=True, default="", db_default="")
    amount_taken_back = models.BigIntegerField(default=0, db_default=0)
    taken_back_at = models.DateTimeField(null=True, blank=True)
    attempt_count = models.PositiveIntegerField(default=0)
    next_payment_attempt_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)
    hosted_invoice_url = models.URLField(max_length=500, blank=True)
    invoice_pdf_url = models.URLField(max_length=500, blank=True)
    synced_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount_refunded__lte=models.F("amount_paid"))
                & models.Q(amount_refunded__gte=0),
                name="no_more_refunded_than_paid",
            ),
        ]
        indexes = [models.Index(fields=["account", "-created_at"], name="payments_of_account")]

    def __str__(self) -> str:
        return f"{self.number or self.stripe_invoice_id}: {self.amount_due} {self.currency} ({self.status})"
