"""What an organization types to be told elsewhere."""

from __future__ import annotations

from django import forms

from accounts.models import Destination
from accounts.notifications.kinds import CATEGORIES


class DestinationForm(forms.Form):
    """Where, and what."""

    channel = forms.ChoiceField(label="Where", choices=Destination.Channel.choices)
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="For Slack the address of an incoming webhook, for a webhook that of your own server.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"}),
    )
    categories = forms.MultipleChoiceField(
        label="What to tell",
        choices=list(CATEGORIES.items()),
        initial=list(CATEGORIES),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one thing to be told of."},
    )
