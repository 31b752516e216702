"""Changes of plan and seats, as customers confirmed them and as they came out; staff look, and may sync."""

from __future__ import annotations

from django.contrib import admin

from billing.admin.purchases import ACCOUNT, SyncAction
from billing.admin.read_only import amount
from billing.models import PlanChange


@admin.register(PlanChange)
class PlanChangeAdmin(SyncAction):
    list_display = (
        "account",
        "what_was",
        "what_will_be",
        "state",
        "shown",
        "takes_effect_at",
        "started_by",
        "created_at",
    )
    list_filter = ("state", "is_later", ("created_at", admin.DateFieldListFilter))
    list_select_related = ("account", "started_by")
    search_fields = (*ACCOUNT, "stripe_subscription_id", "stripe_schedule_id", "stripe_invoice_id")
    # Single use does not make it less of a key while the receipt is open.
    exclude = ("nonce",)
    ordering = ("-created_at", "-pk")

    @admin.display(description="From")
    def what_was(self, change: PlanChange) -> str:
        return f"{change.from_price or change.from_plan_key} × {change.from_quantity}"

    @admin.display(description="To")
    def what_will_be(self, change: PlanChange) -> str:
        return f"{change.to_price} × {change.to_quantity}"

    @admin.display(description="Shown as due")
    def shown(self, change: PlanChange) -> str:
        return amount(change.shown_amount, change.currency)
