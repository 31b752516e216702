"""Plans given by staff: comped, grandfathered, enterprise deals; with a reason, and taken back but never deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from billing import catalog, clock, grants
from billing.deals import place
from billing.models import PlanGrant

ON_HOLD = "{account} is on hold and has nothing of the plan before that ends (Customers: Let go on, Forgive disputes)."


class GrantForm(forms.ModelForm):  # type: ignore[type-arg]
    """Chooses from the catalog's plans, those that are not for sale too."""

    class Meta:
        model = PlanGrant
        fields = ("account", "kind", "plan_key", "overrides", "reason", "starts_at", "until")
        help_texts = {
            "overrides": 'This deal\'s own numbers by feature: {"projects": 40, "test_runs": null}; null is unlimited.',
            "until": "Empty: no end.",
            "reason": "Why, for whoever asks in a year.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "plan_key" in self.fields:
            plans = catalog.current().plans.values()
            self.fields["plan_key"] = forms.ChoiceField(
                label="Plan", choices=[(plan.key, plan.name) for plan in plans]
            )
        if "starts_at" in self.fields:
            self.fields["starts_at"].required = False
            self.fields["starts_at"].help_text = "Empty: now, in the account's time."

    def clean_overrides(self) -> dict[str, int | None]:
        return checked_overrides(self.cleaned_data["overrides"])

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        account = self.cleaned_data.get("account")
        if "starts_at" in self.fields and account is not None and self.cleaned_data.get("starts_at") is None:
            self.cleaned_data["starts_at"] = self.instance.starts_at = clock.now(account)
        # A start that was given once is not in the form of a change, and the database would refuse too late.
        starts_at, until = self.instance.starts_at, self.cleaned_data.get("until")
        if "starts_at" not in self.fields and until is not None and until <= starts_at:
            self.add_error("until", f"It must be after the start, {starts_at:%Y-%m-%d %H:%M} UTC.")
        return cleaned


def checked_overrides(given: Any) -> dict[str, int | None]:
    """Numbers by feature as staff typed them. Raises ValidationError for what cannot be granted by number."""
    overrides = given or {}
    if not isinstance(overrides, dict):
        raise ValidationError('Write features and numbers in braces: {"projects": 40}.')
    countable = {
        feature.key
        for feature in catalog.current().features.values()
        if feature.kind in ("limit", "allowance")
    }
    for key, number in overrides.items():
        if key not in countable:
            known = ", ".join(sorted(countable)) or "none"
            raise ValidationError(f"{key} cannot be granted by number. These can: {known}.")
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
            raise ValidationError(f"{key} must be a whole number from 0, or null for unlimited.")
    return overrides


@admin.register(PlanGrant)
class PlanGrantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = GrantForm
    list_display = ("account", "plan_key", "kind", "reason", "starts_at", "until", "granted_by", "revoked_at")
    list_filter = ("kind", "plan_key", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("account", "granted_by")
    search_fields = ("account__name", "=account__id", "account__members__user__email", "reason")
    autocomplete_fields = ("account",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    actions = ("take_back",)

    def get_readonly_fields(self, request: HttpRequest, obj: PlanGrant | None = None) -> tuple[str, ...]:
        """What was given to whom stays as it was; another deal is another grant."""
        if obj is None:
            return ()
        return ("account", "kind", "plan_key", "starts_at", "granted_by", "created_at", "revoked_at")

    def save_model(self, request: HttpRequest, obj: PlanGrant, form: Any, change: bool) -> None:
        if change:
            with transaction.atomic():
                super().save_model(request, obj, form, change)
                grants.rights_changed(obj.account)
            return
        assert isinstance(request.user, User)
        given = grants.give(
            account=obj.account,
            plan_key=obj.plan_key,
            kind=obj.kind,
            reason=obj.reason,
            now=clock.now(obj.account),
            by=request.user,
            starts_at=obj.starts_at,
            until=obj.until,
            overrides=obj.overrides,
        )
        obj.pk, obj.created_at = given.pk, given.created_at
        if place.is_on_hold(obj.account):
            self.message_user(request, ON_HOLD.format(account=obj.account), messages.WARNING)

    @admin.action(description="Take back now", permissions=["change"])
    def take_back(self, request: HttpRequest, queryset: QuerySet[PlanGrant]) -> None:
        for grant in queryset.filter(revoked_at=None):
            grants.revoke(grant=grant, now=clock.now(grant.account))
            self.log_change(request, grant, "Taken back")
        self.message_user(request, "Taken back. The rows stay as the record of what was given.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
