"""The room's staff pages. The books are read-only: what was counted is corrected by an act, never by an edit."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from billing import money
from billing.lifecycle import subscriptions
from billing.stripe import gateway
from usage.meters import by_hand
from usage.models import (
    Gauge,
    MeterDelivery,
    MeterEvent,
    Reservation,
    Slot,
    UsageCounter,
    UsageDay,
    UsageRecord,
)
from usage.models.meters import OPEN


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To be looked at."""

    list_select_related: ClassVar[tuple[str, ...]] = ("account",)
    search_fields: ClassVar[tuple[str, ...]] = ("account__name", "=account__id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = ("id", "recorded_at", "account", "feature", "units", "used_after", "limit_at_grant")
    list_filter = ("feature",)
    search_fields = ("account__name", "=account__id", "=idempotency_key")
    ordering = ("-id",)


@admin.register(UsageCounter)
class UsageCounterAdmin(ReadOnlyAdmin):
    list_display = (
        "account",
        "feature",
        "period_start",
        "period_end",
        "used",
        "reserved",
        "limit_units",
        "carried",
    )
    list_filter = ("feature", "is_metered")
    ordering = ("-id",)


@admin.register(UsageDay)
class UsageDayAdmin(ReadOnlyAdmin):
    list_display = ("day", "account", "feature", "units")
    list_filter = ("feature",)
    date_hierarchy = "day"
    ordering = ("-day", "-id")


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ("id", "held_at", "expires_at", "account", "feature", "units", "state", "settled_units")
    list_filter = ("state", "feature")
    search_fields = ("account__name", "=account__id", "=idempotency_key")
    ordering = ("-id",)


@admin.register(Gauge)
class GaugeAdmin(ReadOnlyAdmin):
    list_display = ("account", "feature", "value", "over_since", "changed_at")
    list_filter = ("feature", ("over_since", admin.EmptyFieldListFilter))
    ordering = ("-id",)


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ("account", "feature", "key", "taken_at", "expires_at")
    list_filter = ("feature",)
    search_fields = ("account__name", "=account__id", "=key")
    ordering = ("-id",)


@admin.register(MeterEvent)
class MeterEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "occurred_at", "account", "event_name", "units", "state", "delivery")
    list_filter = ("state", "event_name")
    list_select_related = ("account", "delivery")
    search_fields = ("account__name", "=account__id", "=identifier")
    ordering = ("-id",)


@admin.register(MeterDelivery)
class MeterDeliveryAdmin(ReadOnlyAdmin):
    """What Stripe was told, and the buttons for what it would not take."""

    list_display = (
        "id",
        "occurred_at",
        "account",
        "event_name",
        "units",
        "acts",
        "state",
        "attempts",
        "proposed_invoice_item",
        "last_error",
    )
    list_filter = ("state", "event_name")
    search_fields = ("account__name", "=account__id", "=identifier")
    ordering = ("-id",)
    readonly_fields = ("proposed_invoice_item",)
    actions = ("send_again", "bill", "settle")

    @admin.display(description="Proposed invoice item")
    def proposed_invoice_item(self, delivery: MeterDelivery) -> str:
        if delivery.state not in OPEN:
            return delivery.stripe_invoice_item_id or "–"
        try:
            proposed = by_hand.proposal(delivery)
        except by_hand.CannotBill as problem:
            return str(problem)
        return f"{money.text(proposed.amount, proposed.currency)} for {proposed.description}"

    @admin.action(description="Send again to Stripe's meter", permissions=["decide"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[MeterDelivery]) -> None:
        sent = 0
        for delivery in queryset:
            try:
                sent += by_hand.send_again(delivery, now=timezone.now())
            except subscriptions.Busy:
                self._busy(request, delivery)
        self.message_user(request, f"{sent} will be sent again in a moment. The others were not up for it.")

    @admin.action(description="Bill by the proposed invoice item", permissions=["decide"])
    def bill(self, request: HttpRequest, queryset: QuerySet[MeterDelivery]) -> None:
        for delivery in queryset:
            try:
                billed = by_hand.bill(delivery, now=timezone.now())
            except by_hand.CannotBill as problem:
                self.message_user(request, f"{delivery} was not billed. {problem}", messages.WARNING)
            except (subscriptions.Busy, gateway.StripeError) as problem:
                self.message_user(
                    request, f"{delivery} was not billed: {problem} Try again in a minute.", messages.ERROR
                )
            else:
                self.log_change(request, delivery, "Billed by an invoice item")
                amount = money.text(billed.amount, billed.currency)
                which = "an invoice of its own" if billed.on_its_own else "the next invoice"
                self.message_user(request, f"{amount} is on {which} of {delivery.account}.")

    @admin.action(description="Settled in another way: do nothing more", permissions=["decide"])
    def settle(self, request: HttpRequest, queryset: QuerySet[MeterDelivery]) -> None:
        for delivery in queryset:
            try:
                is_settled = by_hand.settle(delivery, now=timezone.now())
            except subscriptions.Busy:
                self._busy(request, delivery)
                continue
            if is_settled:
                self.log_change(request, delivery, "Settled in another way")
        self.message_user(request, "Nothing more will be done about what was open.")

    def _busy(self, request: HttpRequest, delivery: MeterDelivery) -> None:
        self.message_user(
            request,
            f"{delivery}: another change of this account is in progress. Try again in a minute.",
            messages.ERROR,
        )

    def has_decide_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.has_perm("usage.change_meterdelivery")
