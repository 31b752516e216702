"""Who left and why, and the declarations of withdrawal that wait for a person."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from billing import clock
from billing.admin.read_only import ReadOnlyAdmin
from billing.leaving import withdrawals
from billing.models import Departure, Withdrawal


@admin.register(Departure)
class DepartureAdmin(ReadOnlyAdmin):
    list_display = ("at", "account", "plan_key", "feedback", "comment")
    list_filter = ("feedback", "plan_key")
    list_select_related = ("account",)
    search_fields = ("account__name", "=account__id", "comment")
    date_hierarchy = "at"
    ordering = ("-at",)


class DecisionForm(forms.ModelForm):  # type: ignore[type-arg]
    decision = forms.ChoiceField(
        choices=[
            ("settle", "Settle: what was due is paid back"),
            ("decline", "Decline, and say why in the note"),
        ],
        help_text="The customer is told by mail at once. Refund and cancel on the account's own pages first.",
    )

    class Meta:
        model = Withdrawal
        fields = ("note",)
        help_texts = {"note": "For the customer; stands in the mail."}

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.cleaned_data.get("decision") == "decline" and not self.cleaned_data.get("note"):
            self.add_error("note", "Say why: whoever is declined has a right to know.")
        return cleaned


@admin.register(Withdrawal)
class WithdrawalAdmin(ReadOnlyAdmin):
    list_display = ("reference", "received_at", "name", "email", "contract", "account", "state", "settled_at")
    list_filter = ("state",)
    list_select_related = ("account",)
    search_fields = ("=reference", "name", "email", "contract")
    ordering = ("state", "received_at")
    form = DecisionForm
    fields = ("reference", "received_at", "name", "email", "contract", "account", "state", "decision", "note")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields[:-2]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        waits = obj is None or obj.state == Withdrawal.State.RECEIVED
        return waits and self.has_act_permission(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is not None and obj.state != Withdrawal.State.RECEIVED:
            return (*self.fields[:-2], "settled_at", "note")
        return self.fields

    def save_model(self, request: HttpRequest, obj: Withdrawal, form: Any, change: bool) -> None:
        try:
            withdrawals.decide(
                withdrawal=obj,
                is_granted=form.cleaned_data["decision"] == "settle",
                note=form.cleaned_data["note"],
                now=clock.wall(),
            )
        except withdrawals.AlreadyDecided:
            self.message_user(request, "Somebody has decided this already.", messages.ERROR)
