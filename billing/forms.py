"""What customers type into the billing pages."""

from __future__ import annotations

import re
from typing import Any

from babel import Locale
from django import forms

from accounts.forms import OneLineField
from billing.deals import tax
from billing.models import Departure


class CancelForm(forms.Form):
    feedback = forms.ChoiceField(
        label="What is it?",
        required=False,
        choices=[("", "I would rather not say"), *Departure.Feedback.choices],
    )
    comment = OneLineField(label="In your words", required=False, max_length=500)


class ContactForm(forms.Form):
    name = OneLineField(
        label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label="Your e-mail address",
        help_text="The answer goes here.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    company = OneLineField(
        label="Company",
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    plan = forms.ChoiceField(label="What is it about?", required=False)
    seats = forms.IntegerField(label="For how many people?", required=False, min_value=1, max_value=1_000_000)
    message = forms.CharField(
        label="What do you need?",
        max_length=4000,
        help_text="What you will use it for, how much of it, and what has to be agreed.",
        widget=forms.Textarea(attrs={"rows": 6}),
    )
    # People do not see it, so whoever fills it in is a machine.
    website = forms.CharField(
        required=False,
        label="Leave this empty",
        widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, plans: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["plan"].choices = [("", "Something else"), *plans]  # type: ignore[attr-defined]

    def is_machine(self) -> bool:
        return bool(self.cleaned_data.get("website"))


class AcceptForm(forms.Form):
    name = OneLineField(
        label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label="Your e-mail address", widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    agrees = forms.BooleanField(
        label="I may agree to this for the account named above",
        error_messages={"required": "Tick the box to say that you may agree to this."},
    )


class DetailsForm(forms.Form):
    name = OneLineField(
        label="Name or company",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    line1 = OneLineField(
        label="Street and number",
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "address-line1"}),
    )
    line2 = OneLineField(
        label="More of the address",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "address-line2"}),
    )
    postal_code = OneLineField(
        label="Postal code",
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "postal-code"}),
    )
    city = OneLineField(
        label="City",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "address-level2"}),
    )
    state = OneLineField(
        label="State or province",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "address-level1"}),
    )
    country = forms.ChoiceField(label="Country", widget=forms.Select(attrs={"autocomplete": "country"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"].choices = [("", "Choose one"), *_countries()]  # type: ignore[attr-defined]


class TaxIdForm(forms.Form):
    kind = forms.ChoiceField(label="Kind", choices=[(key, label) for key, (label, _) in tax.KINDS.items()])
    value = OneLineField(label="Number", max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class WithdrawForm(forms.Form):
    name = OneLineField(
        label="Your name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label="Your e-mail address",
        help_text="The confirmation goes here. Use the address you bought with, if you can.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    contract = OneLineField(
        label="Which contract?",
        required=False,
        max_length=200,
        help_text="The name of the plan, the account, or the number on an invoice: what you have at hand.",
    )


def _countries() -> list[tuple[str, str]]:
    """Codes and names of the world's countries, by name (CLDR; the codes that are no country's are left out)."""
    named = Locale("en").territories.items()
    no_country = {"EU", "EZ", "UN", "ZZ", "XA", "XB", "QO"}
    known = [
        (code, name) for code, name in named if re.fullmatch("[A-Z]{2}", code) and code not in no_country
    ]
    return sorted(known, key=lambda country: country[1])
