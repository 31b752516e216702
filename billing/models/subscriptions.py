"""Our row of a Stripe subscription and its items. `billing.lifecycle.subscriptions.sync` is the only writer."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

from accounts.models import Account
from billing.models.deals import Offer


class Status(models.TextChoices):
    """Stripe's words (https://docs.stripe.com/api/subscriptions/object#subscription_object-status).

    incomplete          the first payment needs the customer (3-D Secure, another card); 23 hours to do it
    incomplete_expired  they did not; terminal
    trialing            in trial
    active              paid up
    past_due            a renewal failed; Stripe retries, payment grace runs from the first failure
    unpaid              retries used up, invoices stay open
    canceled            over; terminal
    paused              the trial ended without a card
    """

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    CANCELED = "canceled"
    PAUSED = "paused"


# Payments go on so long before the period that is to be paid begins, so that its invoice is not voided too.
PAUSE_ENDS_AHEAD = timedelta(hours=1)

# A subscription that is not over: an account may have one of these (facts: INV1).
LIVE_STATUSES = ("incomplete", "trialing", "active", "past_due", "unpaid", "paused")


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def live(self) -> SubscriptionQuerySet:
        return self.filter(is_live=True)


class Subscription(models.Model):
    """One Stripe subscription as we last saw it. Times are Stripe's, so an account on a test clock is in its time."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="subscriptions")
    stripe_subscription_id = models.CharField(max_length=64, unique=True)
    stripe_customer_id = models.CharField(max_length=64, db_index=True)
    # Not choices: Stripe's enum is open, and an unknown word must be stored and flagged, not refused.
    status = models.CharField(max_length=24)
    # Since when it has had this status, and the last one we knew: an unknown word keeps its access for a day.
    status_since = models.DateTimeField()
    last_known_status = models.CharField(max_length=24, blank=True)
    is_live = models.BooleanField()

    # The plan item's plan and price in the catalog's words. An unknown price keeps the last known plan (D7).
    plan_key = models.CharField(max_length=60)
    price_lookup_key = models.CharField(max_length=120, blank=True)
    quantity = models.PositiveIntegerField(default=1)
    currency = models.CharField(max_length=3)
    # The offer it came from, whose own limits hold as long as it gives the plan.
    offer = models.ForeignKey(
        Offer, on_delete=models.PROTECT, null=True, blank=True, related_name="subscriptions"
    )
    # What is taken off its invoices: one entry each, as `billing.deals.discounts` reads them.
    discounts = models.JSONField(default=list, blank=True)
    needs_review = models.BooleanField(default=False)
    review_reason = models.CharField(max_length=200, blank=True)

    current_period_start = models.DateTimeField(null=True, blank=True)
    current_period_end = models.DateTimeField(null=True, blank=True)
    # The fixed point from which all periods are counted; never derived from the previous period.
    billing_cycle_anchor = models.DateTimeField()
    started_at = models.DateTimeField()
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    cancel_at = models.DateTimeField(null=True, blank=True)
    canceled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    pause_collection = models.CharField(max_length=24, blank=True)
    # A pause the customer asked for: from when nothing is charged and nothing is had, and when it ends by itself.
    paused_from = models.DateTimeField(null=True, blank=True)
    pause_resumes_at = models.DateTimeField(null=True, blank=True)
    collection_method = models.CharField(max_length=24, default="charge_automatically")
    # What manages its next change at Stripe, whoever made it.
    stripe_schedule_id = models.CharField(max_length=64, blank=True)

    # Payment grace: set by the first failure of an open delinquency, cleared by payment, not moved by retries.
    first_failed_at = models.DateTimeField(null=True, blank=True)
    # The first time more than nothing was paid: a trial that never converted has no payment grace.
    first_paid_at = models.DateTimeField(null=True, blank=True)
    latest_invoice_id = models.CharField(max_length=64, blank=True)
    # Where an open invoice can be paid, and when Stripe tries again.
    open_invoice_url = models.URLField(max_length=500, blank=True)
    open_invoice_due_at = models.DateTimeField(null=True, blank=True)
    next_payment_attempt_at = models.DateTimeField(null=True, blank=True)
    # What the next invoice will be, in minor units of `currency`, as previewed at the last sync; unknown: None.
    next_charge_amount = models.BigIntegerField(null=True, blank=True)
    synced_at = models.DateTimeField()

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account"], condition=models.Q(is_live=True), name="one_live_subscription_per_account"
            ),
        ]
        indexes = [models.Index(fields=["account", "-started_at"], name="subscriptions_of_account")]

    def __str__(self) -> str:
        return f"{self.plan_key} of {self.account} ({self.status})"

    @property
    def is_canceling(self) -> bool:
        """Will end by itself: at the period's end or at a set time."""
        return self.cancel_at_period_end or self.cancel_at is not None

    @property
    def goes_on_at(self) -> datetime | None:
        """When a pause is over for people: the payments of one that we set go on a little before its plan does."""
        if self.pause_resumes_at is None or self.paused_from is None:
            return self.pause_resumes_at
        return self.pause_resumes_at + PAUSE_ENDS_AHEAD

    @property
    def is_fixed_term(self) -> bool:
        """Ends because a contract says so, not because anybody canceled: only another contract makes it go on."""
        return self.offer_id is not None and self.cancel_at is not None and not self.cancel_at_period_end


class SubscriptionItem(models.Model):
    """One price in a subscription. Items gone at Stripe are gone here; features of all items add up."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="items")
    stripe_item_id = models.CharField(max_length=64, unique=True)
    stripe_price_id = models.CharField(max_length=64)
    stripe_product_id = models.CharField(max_length=64)
    lookup_key = models.CharField(max_length=120, blank=True)
    # The plan this price belongs to in the catalog; empty when the catalog does not know the price.
    plan_key = models.CharField(max_length=60, blank=True)
    quantity = models.PositiveIntegerField(null=True, blank=True)
    is_metered = models.BooleanField(default=False)
    current_period_start = models.DateTimeField()
    current_period_end = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.lookup_key or self.stripe_price_id} × {self.quantity or 'metered'}"
