"""What people type about themselves and their accounts."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from typing import Any

from django import forms

from accounts import members
from accounts.models import Account, Member, Scope, User


def one_line(text: str) -> str:
    """Names travel into mail subjects and invoices, where a line break is an attack."""
    return " ".join(text.split())


class OneLineField(forms.CharField):
    def clean(self, value: Any) -> Any:
        return super().clean(one_line(value) if isinstance(value, str) else value)


class SignUpExtras(forms.Form):
    """What is asked at sign-up besides address and password (ACCOUNT_SIGNUP_FORM_CLASS)."""

    name = OneLineField(
        label="Your name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name", "placeholder": ""}),
    )
    field_order = ["name", "email", "password1"]

    def signup(self, request: object, user: User) -> None:
        """allauth asks for this method; the name was stored with the person, in AccountAdapter.save_user."""


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    name = OneLineField(
        label="Your name",
        max_length=150,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )

    class Meta:
        model = User
        fields = ["name"]


class OrganizationForm(forms.Form):
    name = OneLineField(
        label="Name of the organization",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )


class AccountForm(forms.ModelForm):  # type: ignore[type-arg]
    name = OneLineField(label="Account name", max_length=120)

    class Meta:
        model = Account
        fields = ["name", "billing_email", "timezone"]
        labels = {"billing_email": "Billing e-mail", "timezone": "Time zone"}
        help_texts = {
            "billing_email": "Receipts and payment notices go here. Empty: to the owner's address.",
            "timezone": "Daily limits count this zone's days. A change takes effect with the next day.",
        }
        widgets = {"billing_email": forms.EmailInput(attrs={"autocomplete": "email"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = sorted(zoneinfo.available_timezones() - {"localtime"})
        self.fields["timezone"] = forms.ChoiceField(
            label=self.fields["timezone"].label,
            help_text=self.fields["timezone"].help_text,
            choices=[(zone, zone.replace("_", " ")) for zone in zones],
        )


class RoleForm(forms.Form):
    role = forms.ChoiceField(label="Role")

    def __init__(self, *args: Any, by: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = [(role.value, role.label) for role in reversed(members.conferrable(by))]
        self.fields["role"] = forms.ChoiceField(
            label="Role",
            choices=roles,
            initial=Member.Role.MEMBER,
            error_messages={"invalid_choice": "Choose a role up to your own."},
        )


class InviteForm(RoleForm):
    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    field_order = ["email", "role"]


class KeyForm(forms.Form):
    name = OneLineField(
        label="What is it for?", max_length=80, help_text="Shown in lists and in the event log."
    )
    scopes = forms.MultipleChoiceField(
        label="What may it do?",
        choices=Scope.choices,
        # What a program cannot do, whoever steals its key cannot do either.
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "A key that may do nothing is of no use. Tick at least one."},
    )
    days = forms.TypedChoiceField(
        label="How long should it work?",
        coerce=int,
        choices=[(0, "Until it is revoked"), (30, "30 days"), (90, "90 days"), (365, "A year")],
        initial=0,
    )

    def last_moment(self, now: datetime) -> datetime | None:
        """When the key stops working by itself; None: never."""
        days: int = self.cleaned_data["days"]
        return now + timedelta(days=days) if days else None


class RollForm(forms.Form):
    hours = forms.TypedChoiceField(
        label="The old key works on for",
        coerce=int,
        choices=[(24, "a day more"), (1, "an hour more"), (168, "a week more"), (0, "no longer")],
        initial=24,
    )
