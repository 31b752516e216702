"""What accounts bought and paid, as sync projected it; staff look, and may have Stripe asked again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.models import Account
from billing import clock, suspension
from billing.admin import refunds as refund_pages
from billing.admin import trials
from billing.admin.read_only import LookOnly, ReadOnlyAdmin, amount
from billing.leaving import forgiving, refunds
from billing.lifecycle import subscriptions
from billing.lifecycle.lease import LeaseTaken
from billing.models import (
    CheckoutIntent,
    Customer,
    Payment,
    Subscription,
    SubscriptionItem,
    TrialRedemption,
)
from billing.stripe import gateway

ACCOUNT = ("account__name", "=account__id", "account__members__user__email")
PATIENCE_SECONDS = 5.0


class SyncAction(ReadOnlyAdmin):
    """For rows that belong to an account: have Stripe asked what is true and our rows put right."""

    actions: tuple[str, ...] = ("sync_now",)

    @admin.action(description="Sync now: ask Stripe and put our rows right", permissions=["act"])
    def sync_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for account in Account.objects.filter(pk__in=queryset.values("account")).order_by("name"):
            self._sync(request, account)

    def _sync(self, request: HttpRequest, account: Account) -> None:
        try:
            served = subscriptions.sync(account=account, reason="staff", wait_seconds=PATIENCE_SECONDS)
        except LeaseTaken:
            served = False
        except gateway.StripeError as error:
            self.message_user(request, f"{account.name}: {error} Try again in a minute.", messages.ERROR)
            return
        if served:
            self.message_user(request, f"{account.name} is as Stripe says.")
        else:
            self.message_user(request, f"{account.name}: another change is in progress and will sync it.")


@admin.register(Customer)
class CustomerAdmin(SyncAction):
    list_display = (
        "account",
        "stripe_customer_id",
        "card",
        "clock_now",
        "synced_at",
        "dispute_state",
        "suspended_at",
    )
    list_filter = ("livemode", "dispute_state", ("suspended_at", admin.EmptyFieldListFilter), "card_brand")
    list_select_related = ("account",)
    search_fields = (*ACCOUNT, "=stripe_customer_id", "card_last4")
    ordering = ("-created_at",)
    actions = (*SyncAction.actions, "suspend", "lift", "forgive_disputes")

    @admin.action(description="Put on hold: may read and export, nothing else", permissions=["act"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        for customer in queryset.select_related("account"):
            reason = f"Put on hold by {request.user}"
            suspension.suspend(account=customer.account, reason=reason, now=clock.now(customer.account))
            self.log_change(request, customer, reason)
        self.message_user(request, "On hold. What is paid at Stripe is not touched by this.")

    @admin.action(description="Let go on", permissions=["act"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        for customer in queryset.select_related("account"):
            suspension.lift(account=customer.account)
            self.log_change(request, customer, "Let go on")
        self.message_user(request, "They have again what they bought.")

    @admin.action(description="Forgive disputes that were lost: they block no longer", permissions=["act"])
    def forgive_disputes(self, request: HttpRequest, queryset: QuerySet[Customer]) -> None:
        for customer in queryset.select_related("account").exclude(stripe_customer_id=None):
            try:
                forgiven = forgiving.forgive(customer.account, by=str(request.user), now=clock.wall())
            except (LeaseTaken, gateway.StripeError) as error:
                self.message_user(request, f"{customer.account.name}: {error} Try again.", messages.ERROR)
                continue
            self.log_change(request, customer, f"Disputes forgiven: {', '.join(forgiven) or 'none was lost'}")
            self.message_user(request, f"{customer.account.name}: {len(forgiven)} forgiven.")

    @admin.display(description="Card")
    def card(self, customer: Customer) -> str:
        if not customer.card_last4:
            return "–"
        end = f"{customer.card_exp_month:02}/{customer.card_exp_year}" if customer.card_exp_year else "?"
        return f"{customer.card_brand} …{customer.card_last4}, {end}"


class ItemInline(LookOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = SubscriptionItem
    extra = 0


@admin.register(Subscription)
class SubscriptionAdmin(SyncAction):
    list_display = (
        "account",
        "plan_key",
        "status",
        "quantity",
        "current_period_end",
        "is_canceling",
        "first_failed_at",
        "needs_review",
        "synced_at",
    )
    list_filter = (
        *("is_live", "status", "plan_key", "needs_review", "cancel_at_period_end"),
        ("cancel_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("account",)
    search_fields = (*ACCOUNT, "=stripe_subscription_id", "=stripe_customer_id", "price_lookup_key")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
    inlines = (ItemInline,)

    def get_urls(self) -> list[URLPattern]:
        way = path(
            "<int:subscription_id>/longer-trial/",
            self.admin_site.admin_view(trials.put_off),
            name="billing_subscription_put_off",
        )
        return [way, *super().get_urls()]

    @admin.display(description="Ends by itself", boolean=True)
    def is_canceling(self, subscription: Subscription) -> bool:
        return subscription.is_canceling


@admin.register(Payment)
class PaymentAdmin(SyncAction):
    list_display = (
        "number",
        "account",
        "created_at",
        "what_became_of_it",
        "due",
        "paid",
        "refunded",
        "attempt_count",
        "billing_reason",
    )
    list_filter = ("status", "dispute_state", "billing_reason", "currency")
    list_select_related = ("account",)
    search_fields = (
        *ACCOUNT,
        "=number",
        "=stripe_invoice_id",
        "=stripe_charge_id",
        "=stripe_payment_intent_id",
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        way = path(
            "<int:payment_id>/refund/",
            self.admin_site.admin_view(refund_pages.give_back),
            name="billing_payment_refund",
        )
        return [way, *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        payment = self.get_object(request, object_id)
        may = payment is not None and refunds.refundable(payment) > 0
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "may_give_back": may}
        )

    @admin.display(description="Status", ordering="status")
    def what_became_of_it(self, payment: Payment) -> str:
        if payment.dispute_state == "lost":
            return f"Taken back by the bank on {payment.taken_back_at:%-d %B %Y}"
        return "Disputed" if payment.dispute_state else payment.status.title()

    @admin.display(description="Due", ordering="amount_due")
    def due(self, payment: Payment) -> str:
        return amount(payment.amount_due, payment.currency)

    @admin.display(description="Paid", ordering="amount_paid")
    def paid(self, payment: Payment) -> str:
        return amount(payment.amount_paid, payment.currency)

    @admin.display(description="Refunded", ordering="amount_refunded")
    def refunded(self, payment: Payment) -> str:
        return amount(payment.amount_refunded, payment.currency) if payment.amount_refunded else "–"


@admin.register(CheckoutIntent)
class CheckoutIntentAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "price_lookup_key",
        "quantity",
        "trial_days",
        "state",
        "started_by",
        "created_at",
        "completed_at",
    )
    list_filter = ("state", "price_lookup_key")
    list_select_related = ("account", "started_by")
    search_fields = (*ACCOUNT, "=stripe_session_id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    # Whoever has the link can pay in the customer's name.
    exclude = ("url",)


@admin.register(TrialRedemption)
class TrialRedemptionAdmin(ReadOnlyAdmin):
    list_display = ("kind", "account", "stripe_subscription_id", "redeemed_at")
    list_filter = ("kind",)
    list_select_related = ("account",)
    search_fields = (*ACCOUNT, "=stripe_subscription_id")
    date_hierarchy = "redeemed_at"
    ordering = ("-redeemed_at",)
