"""What is typed on the page of alerts: percents and sums, several in one field."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms

from billing import money
from usage.alerts import choosing
from usage.alerts.choosing import Wishes

# "50, 80 95%": whatever people put between numbers.
_BETWEEN = re.compile(r"[\s,;%]+")


class AlertForm(forms.Form):
    """`percents` and `amounts` are cleaned to lists of whole numbers, the latter in minor units."""

    percents = forms.CharField(
        label="Percent of an allowance",
        required=False,
        max_length=100,
        help_text="Several with a comma between: 50, 80, 95, 100. Empty: none.",
        widget=forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off"}),
    )

    def __init__(self, data: Any = None, *, currency: str, wishes: Wishes) -> None:
        sums = (f"{money.decimal(amount, currency):f}" for amount in wishes.amounts)
        initial = {
            "percents": ", ".join(str(percent) for percent in wishes.percents),
            "amounts": ", ".join(sums),
        }
        super().__init__(data, initial=initial)
        self.currency = currency
        self.fields["amounts"] = forms.CharField(
            label=f"Spent on units in a billing month ({currency.upper()})",
            required=False,
            max_length=160,
            help_text="Several with a comma between: 10, 30, 100. Empty: none.",
            widget=forms.TextInput(attrs={"inputmode": "text", "autocomplete": "off"}),
        )

    def clean_percents(self) -> list[int]:
        wrong = forms.ValidationError("Write whole percents from 1 to 100, such as 50, 80, 95.")
        found = []
        for word in self._words("percents"):
            if not (word.isascii() and word.isdigit() and len(word) <= 3) or not 1 <= int(word) <= 100:
                raise wrong
            found.append(int(word))
        return self._not_too_many(found)

    def clean_amounts(self) -> list[int]:
        found = []
        for word in self._words("amounts"):
            if not word.isascii() or not word.replace(".", "", 1).isdigit() or len(word) > 14:
                raise forms.ValidationError("Write sums such as 10 or 29.50, without a sign.")
            try:
                amount = Decimal(word).scaleb(money.decimal_places(self.currency))
            except InvalidOperation:
                raise forms.ValidationError("Write sums such as 10 or 29.50, without a sign.") from None
            if amount != amount.to_integral_value() or not 0 < amount <= choosing.MOST_AMOUNT:
                most = money.text(choosing.MOST_AMOUNT, self.currency)
                raise forms.ValidationError(f"Each sum must be above zero and at most {most}.")
            found.append(int(amount))
        return self._not_too_many(found)

    def _words(self, name: str) -> list[str]:
        return [word for word in _BETWEEN.split(self.cleaned_data[name]) if word]

    def _not_too_many(self, found: list[int]) -> list[int]:
        if len(set(found)) > choosing.MOST_THRESHOLDS:
            raise forms.ValidationError(f"Choose at most {choosing.MOST_THRESHOLDS}.")
        return found
