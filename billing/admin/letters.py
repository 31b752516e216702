"""Stripe's letters: what came, what became of it, and a button to read it again."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing import clock
from billing.admin.read_only import ReadOnlyAdmin, pretty
from billing.models import WebhookEvent, WebhookRejection
from billing.stripe import inbox
from config import nudge


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnlyAdmin):
    list_display = (
        "received_at",
        "type",
        "state",
        "ignored_reason",
        "attempts",
        "deliveries",
        "stripe_customer_id",
        "object_id",
        "next_attempt_at",
        "error",
    )
    list_display_links = ("received_at", "type")
    list_filter = ("state", "ignored_reason", "livemode", "type")
    search_fields = ("=stripe_event_id", "=stripe_customer_id", "=object_id", "type")
    date_hierarchy = "received_at"
    ordering = ("-received_at",)
    exclude = ("payload",)
    readonly_fields = ("document",)
    actions = ("replay",)

    @admin.display(description="Error")
    def error(self, event: WebhookEvent) -> str:
        return event.last_error[:80]

    @admin.display(description="Payload")
    def document(self, event: WebhookEvent) -> SafeString:
        return pretty(event.payload)

    @admin.action(description="Read again", permissions=["act"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> None:
        now = clock.wall()
        for event in queryset.order_by("event_created_at"):
            inbox.replay(event, now=now)
            self.log_change(request, event, "Read again")
        nudge.workers(nudge.READ_LETTERS)
        self.message_user(request, "The letters are in the queue again and will be read in a moment.")


@admin.register(WebhookRejection)
class WebhookRejectionAdmin(ReadOnlyAdmin):
    list_display = ("day", "reason", "count")
    list_filter = ("reason",)
    date_hierarchy = "day"
    ordering = ("-day", "reason")
