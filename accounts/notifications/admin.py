"""What customers were told, for staff: read only, with a button that sends again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Delivery, Destination, Notification
from accounts.notifications import outbox
from config import nudge


class _ReadOnly:
    """Nobody rewrites what was told."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeliveryInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Delivery
    extra = 0
    fields = ("channel", "address", "destination", "state", "attempts", "next_attempt_at", "delivered_at")


@admin.register(Notification)
class NotificationAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("subject", "kind", "account", "to", "created_at", "overtaken_at")
    list_filter = ("kind", "to")
    list_select_related = ("account",)
    search_fields = ("key", "subject", "account__name", "=account__id")
    date_hierarchy = "created_at"
    ordering = ("-pk",)
    inlines = (DeliveryInline,)


@admin.register(Delivery)
class DeliveryAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "notification",
        "channel",
        "address",
        "state",
        "attempts",
        "next_attempt_at",
        "last_error",
    )
    list_filter = ("state", "channel")
    list_select_related = ("notification",)
    search_fields = ("notification__key", "address")
    ordering = ("-pk",)
    actions = ("send_again",)

    @admin.action(description="Send again", permissions=["act"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        for delivery in queryset:
            outbox.again(delivery, now=timezone.now())
        nudge.workers(nudge.DELIVER_NOTIFICATIONS)
        self.message_user(request, f"{len(queryset)} on their way again.")

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Whoever may change deliveries may send them again."""
        return request.user.has_perm("accounts.change_delivery")


@admin.register(Destination)
class DestinationAdmin(_ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("account", "channel", "shown_url", "failing_since", "disabled_at", "disabled_reason")
    list_filter = ("channel", ("disabled_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("account__name", "shown_url")
    exclude = ("sealed_url", "sealed_secret", "sealed_old_secret")
