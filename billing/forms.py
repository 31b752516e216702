"""What customers type into the billing pages."""

from __future__ import annotations

from django import forms

from accounts.forms import OneLineField
from billing.models import Departure


class CancelForm(forms.Form):
    feedback = forms.ChoiceField(
        label="What is it?",
        required=False,
        choices=[("", "I would rather not say"), *Departure.Feedback.choices],
    )
    comment = OneLineField(label="In your words", required=False, max_length=500)


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
    # People do not see it, so whoever fills it in is a machine.
    website = forms.CharField(
        required=False,
        label="Leave this empty",
        widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}),
    )

    def is_machine(self) -> bool:
        return bool(self.cleaned_data.get("website"))
