"""What was done once and what waits to be done; what a person must look at."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import Account
from billing import clock, effects
from billing.admin.purchases import SyncAction
from billing.admin.read_only import ReadOnlyAdmin, pretty
from billing.models import Alert, Effect
from config import nudge


@admin.register(Effect)
class EffectAdmin(SyncAction):
    list_display = ("key", "kind", "account", "created_at", "done_at", "attempts", "next_attempt_at")
    list_filter = ("kind", ("done_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("key", "account__name", "=account__id")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    exclude = ("detail",)
    readonly_fields = ("document",)
    actions = ("try_now", "settle")

    @admin.display(description="Detail")
    def document(self, effect: Effect) -> SafeString:
        return pretty(effect.detail)

    @admin.action(description="Try again now", permissions=["act"])
    def try_now(self, request: HttpRequest, queryset: QuerySet[Effect]) -> None:
        owed = queryset.filter(done_at=None)
        tried = owed.filter(kind__in=effects.kinds_carried()).update(next_attempt_at=clock.wall())
        if tried:
            nudge.workers(nudge.DELIVER_EFFECTS)
            self.message_user(request, f"{tried} will be tried in a moment. What is done is not done again.")
        # The others (a second subscription to end) are carried out by the sync of their account.
        others = owed.exclude(kind__in=effects.kinds_carried())
        for account in Account.objects.filter(pk__in=others.values("account")).order_by("name"):
            self._sync(request, account)

    @admin.action(description="Settled by hand: do not try any more", permissions=["act"])
    def settle(self, request: HttpRequest, queryset: QuerySet[Effect]) -> None:
        for effect in queryset.filter(done_at=None):
            Effect.objects.filter(pk=effect.pk, done_at=None).update(
                done_at=clock.wall(), next_attempt_at=None
            )
            self.log_change(request, effect, "Settled by hand")
        self.message_user(request, "Nothing more will be tried for these.")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ("kind", "message", "account", "raised_at", "last_seen_at", "times_seen", "resolved_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "kind")
    list_select_related = ("account",)
    search_fields = ("key", "message", "account__name", "=account__id")
    date_hierarchy = "raised_at"
    ordering = ("-last_seen_at",)
    actions = ("resolve",)

    @admin.action(description="Resolved", permissions=["act"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        for alert in queryset.filter(resolved_at=None):
            Alert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=clock.wall())
            self.log_change(request, alert, "Resolved")
        self.message_user(request, "Resolved. They come back if the same thing is seen again.")
