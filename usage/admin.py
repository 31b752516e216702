"""The room's staff pages. The books are read-only: what was counted is corrected by an act, never by an edit."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from usage import meter_events
from usage.models import MeterEvent, UsageCounter, UsageDay, UsageRecord


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """To be looked at."""

    list_select_related = ("account",)
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


@admin.register(MeterEvent)
class MeterEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "occurred_at", "account", "event_name", "units", "state", "attempts", "last_error")
    list_filter = ("state", "event_name")
    search_fields = ("account__name", "=account__id", "=identifier")
    ordering = ("-id",)
    actions = ("send_again",)

    @admin.action(description="Send again to Stripe", permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[MeterEvent]) -> None:
        for event in queryset:
            meter_events.send_again(event, now=timezone.now())
        self.message_user(request, "What had not arrived is in the outbox again.")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.has_perm("usage.change_meterevent")
