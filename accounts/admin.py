"""The room's staff pages: people, accounts with their members, invitations, keys. Secrets are not shown."""

from __future__ import annotations

from typing import Any, ClassVar

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, ApiKey, Invitation, Member, User
from accounts.notifications import admin as _of_notifications  # noqa: F401  registers itself
from billing import clock
from billing.lifecycle import customers


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("email", "name")
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {}


@admin.register(User)
class UserAdmin(StockUserAdmin):  # type: ignore[type-arg]
    add_form = NewUserForm
    ordering = ("email",)
    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("email", "name")
    readonly_fields = ("date_joined", "last_login")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = (
        (
            None,
            {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")},
        ),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """People are made inactive: their account's money history stays."""
        return False


class MemberInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Member
    extra = 0
    autocomplete_fields = ("user",)

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        formset = super().get_formset(request, obj, **kwargs)
        formset.form.base_fields["joined_at"].initial = timezone.now
        return formset


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "kind", "id", "billing_email", "timezone", "created_at")
    list_filter = ("kind", ("created_at", admin.DateFieldListFilter))
    search_fields = ("id", "name", "billing_email", "members__user__email")
    readonly_fields = ("id", "kind", "person", "created_at")
    inlines = (MemberInline,)
    ordering = ("-created_at",)

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not {"name", "billing_email"}.isdisjoint(form.changed_data):
            customers.introduce_later(obj, now=clock.now(obj))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """`manage.py create_account` opens one with its owner."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Member)
class MemberAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("user", "account", "role", "joined_at")
    list_filter = ("role", "account__kind")
    list_select_related = ("user", "account")
    search_fields = ("user__email", "user__name", "account__name")
    autocomplete_fields = ("user", "account")
    readonly_fields = ("joined_at",)

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        if not change:
            obj.joined_at = timezone.now()
        super().save_model(request, obj, form, change)


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("email", "account", "role", "created_at", "expires_at", "accepted_at", "revoked_at")
    list_filter = (
        "role",
        ("accepted_at", admin.EmptyFieldListFilter),
        ("revoked_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("account",)
    search_fields = ("email", "account__name")
    exclude = ("token_digest",)
    actions = ("withdraw",)

    @admin.action(description="Withdraw the chosen invitations", permissions=["change"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        count = queryset.filter(accepted_at=None, revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} withdrawn.")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(field.name for field in Invitation._meta.fields if field.name != "token_digest")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "name",
        "prefix",
        "kind",
        "account",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_filter = ("kind", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("name", "prefix", "account__name", "created_by__email")
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            api_keys.revoke(key=key, now=timezone.now())
        self.message_user(request, "The keys stop working with the next call.")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return tuple(field.name for field in ApiKey._meta.fields if field.name != "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """`manage.py issue_api_key` issues one and prints it once."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LookAndEndAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """In place of allauth's own pages: no secrets are shown, nothing is edited, a row may be removed."""

    list_select_related = ("user",)
    search_fields = ("user__email", "user__name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UserSessionAdmin(LookAndEndAdmin):
    """Whoever had the session key would be that person."""

    list_display = ("user", "created_at", "last_seen_at", "ip", "user_agent")
    exclude = ("session_key", "data")


class AuthenticatorAdmin(LookAndEndAdmin):
    """Staff remove a lost second factor; its secret is nobody's to see."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    exclude = ("data",)


for model, page in ((UserSession, UserSessionAdmin), (Authenticator, AuthenticatorAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, page)
