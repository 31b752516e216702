"""Price rises under way: who was told, who was moved, and the two buttons that stop or undo one."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from billing import clock
from billing.admin.read_only import LookOnly, ReadOnlyAdmin
from billing.models import PriceRise, PriceRiseStep
from billing.price_rises import carrying
from billing.stripe import gateway


class StepInline(LookOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = PriceRiseStep
    extra = 0
    fields = ("account", "state", "old_amount", "new_amount", "quantity", "told_at", "applies_at", "note")
    show_change_link = False


@admin.register(PriceRise)
class PriceRiseAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "from_name",
        "to_lookup_key",
        "begun_at",
        "stopped_at",
        "waiting",
        "moved",
        "reason",
    )
    list_filter = (("stopped_at", admin.EmptyFieldListFilter),)
    ordering = ("-begun_at",)
    inlines = (StepInline,)
    actions = ("stop", "undo")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceRise]:
        found: QuerySet[PriceRise] = super().get_queryset(request)
        return found.annotate(
            count_waiting=Count("steps", filter=Q(steps__in=PriceRiseStep.objects.unfinished())),
            count_moved=Count("steps", filter=Q(steps__state=PriceRiseStep.State.MOVED)),
        )

    @admin.display(description="Waiting")
    def waiting(self, rise: PriceRise) -> int:
        return int(getattr(rise, "count_waiting", 0))

    @admin.display(description="Moved")
    def moved(self, rise: PriceRise) -> int:
        return int(getattr(rise, "count_moved", 0))

    @admin.action(description="Stop: nobody else is told or moved", permissions=["act"])
    def stop(self, request: HttpRequest, queryset: QuerySet[PriceRise]) -> None:
        for rise in queryset:
            stopped = carrying.stop(rise=rise, now=clock.wall())
            self.log_change(request, rise, "Stopped")
            self.message_user(request, f"{stopped}{stopped.staying}")

    @admin.action(description="Undo: stop, and give the old price back", permissions=["act"])
    def undo(self, request: HttpRequest, queryset: QuerySet[PriceRise]) -> None:
        for rise in queryset:
            try:
                undone = carrying.undo(rise=rise, now=clock.wall())
            except gateway.StripeError as error:
                self.log_change(request, rise, "Stopped, and to be undone by the worker")
                said = f"Stopped; nobody has the old price again yet: {error} The worker tries again."
                self.message_user(request, said, messages.WARNING)
                continue
            self.log_change(request, rise, f"Undone: {undone.undone}; failed: {undone.failed}")
            self.message_user(
                request,
                f"{undone}" + (" The worker tries again for those." if undone.failed else ""),
                messages.WARNING if undone.failed else messages.SUCCESS,
            )
