"""Credits as staff see them: give some with a reason, correct a grant, read every change."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from billing import catalog, clock, credits
from billing.admin.read_only import ReadOnlyAdmin, amount
from billing.messages import credits as tell
from billing.models import CreditEntry, CreditGrant


class GiveForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new grant of staff's: what, how much, why and until when."""

    class Meta:
        model = CreditGrant
        fields = ("account", "feature", "units", "source", "reason", "expires_at", "priority")
        help_texts = {
            "reason": "The customer reads it on the page of credits.",
            "expires_at": "Empty: the units stay.",
            "priority": "Lower is drawn first; what is bought has 100 unless the price list says otherwise.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        countable = [
            (feature.key, feature.name)
            for feature in catalog.current().features.values()
            if feature.kind in ("allowance", "metered")
        ]
        self.fields["feature"] = forms.ChoiceField(choices=countable)
        given = CreditGrant.Source
        self.fields["source"] = forms.ChoiceField(
            choices=[(source, source.label) for source in (given.GIFT, given.REFUND, given.CORRECTION)]
        )
        self.fields["units"].min_value = 1  # type: ignore[attr-defined]
        self.fields["reason"].required = True

    def clean_units(self) -> int:
        units: int = self.cleaned_data["units"]
        if not 1 <= units <= credits.MOST_UNITS:
            raise ValidationError(f"Give from 1 to {credits.MOST_UNITS:,} units.")
        return units

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        account, ends = self.cleaned_data.get("account"), self.cleaned_data.get("expires_at")
        if account is not None:
            now = clock.now(account)
            self.instance.granted_at = now
            if ends is not None and ends <= now:
                self.add_error(
                    "expires_at", f"It must be ahead; for this account it is {now:%Y-%m-%d %H:%M} UTC."
                )
        return cleaned


class CorrectForm(forms.ModelForm):  # type: ignore[type-arg]
    """What may be changed of a grant: units taken out, or put back that were taken out."""

    correct_by = forms.IntegerField(
        required=False, help_text="Below zero takes units out, above zero puts back what was taken or used."
    )
    correct_because = forms.CharField(
        required=False, max_length=300, help_text="The customer reads it in the history."
    )

    class Meta:
        model = CreditGrant
        fields = ()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        units, why = self.cleaned_data.get("correct_by"), self.cleaned_data.get("correct_because")
        if bool(units) != bool((why or "").strip()):
            self.add_error(
                "correct_because" if units else "correct_by", "A correction is a number and a reason."
            )
        elif units and not 0 <= self.instance.remaining + units <= self.instance.units:
            left, whole = self.instance.remaining, self.instance.units
            self.add_error(
                "correct_by", f"{left:,} of {whole:,} are left: from {-left:,} to {whole - left:,}."
            )
        return cleaned


@admin.register(CreditGrant)
class CreditGrantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "account",
        "feature",
        "units",
        "remaining",
        "source",
        "paid",
        "granted_at",
        "expires_at",
        "granted_by",
    )
    list_filter = ("source", "feature")
    list_select_related = ("account", "granted_by")
    search_fields = (
        "account__name",
        "=account__id",
        "account__members__user__email",
        "=stripe_payment_intent_id",
        "reason",
    )
    autocomplete_fields = ("account",)
    date_hierarchy = "granted_at"
    ordering = ("-granted_at",)
    show_full_result_count = False

    def get_form(
        self, request: HttpRequest, obj: CreditGrant | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = GiveForm
        elif self.has_change_permission(request, obj):
            kwargs["form"] = CorrectForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: CreditGrant | None = None) -> Any:
        if obj is None:
            return GiveForm.Meta.fields
        may_correct = self.has_change_permission(request, obj)
        return (*self.get_readonly_fields(request, obj), *(CORRECTION if may_correct else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: CreditGrant | None = None) -> tuple[str, ...]:
        """What was granted stays as it was; only what is left of it moves."""
        if obj is None:
            return ()
        return (
            "account",
            "feature",
            "units",
            "remaining",
            "source",
            "reason",
            "paid",
            "stripe_payment_intent_id",
            "priority",
            "granted_at",
            "expires_at",
            "granted_by",
            "changes",
        )

    @admin.display(description="paid")
    def paid(self, grant: CreditGrant) -> str:
        return amount(grant.amount_paid or None, grant.currency)

    @admin.display(description="changes")
    def changes(self, grant: CreditGrant) -> SafeString:
        address = f"{reverse('admin:billing_creditentry_changelist')}?grant__id__exact={grant.pk}"
        return format_html('<a href="{}">Every change of it</a>', address)

    def save_model(self, request: HttpRequest, obj: CreditGrant, form: Any, change: bool) -> None:
        assert isinstance(request.user, User)
        if not change:
            given = credits.give(
                account=obj.account,
                feature=obj.feature,
                units=obj.units,
                source=obj.source,
                source_key=f"staff:{uuid.uuid4().hex}",
                now=obj.granted_at,
                expires_at=obj.expires_at,
                priority=obj.priority,
                by=request.user,
                reason=obj.reason,
            )
            tell.given(given, now=given.granted_at)
            obj.pk = given.pk
        elif units := form.cleaned_data.get("correct_by"):
            try:
                credits.correct(
                    grant=obj,
                    units=units,
                    by=request.user,
                    reason=form.cleaned_data["correct_because"],
                    now=clock.now(obj.account),
                )
            except credits.BadCredits as refusal:
                # Somebody used some of it between the look and the press.
                self.message_user(request, f"Nothing was corrected: {refusal}", level="error")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


CORRECTION = ("correct_by", "correct_because")


@admin.register(CreditEntry)
class CreditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "account", "feature", "kind", "units", "usage_record_id", "by", "reason")
    list_filter = ("kind",)
    list_select_related = ("grant__account", "by")
    search_fields = ("grant__account__name", "=grant__account__id", "=usage_record_id")
    ordering = ("-id",)

    @admin.display(description="account")
    def account(self, entry: CreditEntry) -> str:
        return str(entry.grant.account)

    @admin.display(description="feature")
    def feature(self, entry: CreditEntry) -> str:
        return entry.grant.feature
