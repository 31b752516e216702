"""What is typed on the page of budgets: a sum of money, and a number of units for a member."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms

from accounts.models import Account, Member
from billing import money
from usage import budgets
from usage.models import Budget


class MoneyField(forms.CharField):
    """A sum in the currency's own unit, "30" or "30.00", as minor units."""

    def __init__(self, *, currency: str, **kwargs: Any) -> None:
        super().__init__(max_length=14, **kwargs)
        self.currency = currency
        self.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}

    def clean(self, value: Any) -> int:
        text = super().clean(value).strip()
        places = money.decimal_places(self.currency)
        example = "30" if not places else f"30 or 30.{'0' * places}"
        wrong = forms.ValidationError(
            f"Write a sum such as {example}, without a sign or a thousands separator."
        )
        if not text.isascii() or not text.replace(".", "", 1).isdigit():
            raise wrong
        try:
            amount = Decimal(text).scaleb(places)
        except InvalidOperation:
            raise wrong from None
        if amount != amount.to_integral_value():
            raise wrong
        if amount > budgets.MOST_AMOUNT:
            most = money.text(budgets.MOST_AMOUNT, self.currency)
            raise forms.ValidationError(f"The largest budget is {most}. For none, remove the budget.")
        return int(amount)


class BudgetForm(forms.Form):
    def __init__(self, data: Any = None, *, currency: str, budget: Budget | None = None) -> None:
        initial = {"amount": f"{money.decimal(budget.amount, currency):f}"} if budget else {}
        super().__init__(data, initial=initial)
        self.fields["amount"] = MoneyField(
            currency=currency, label=f"At most, each billing month ({currency.upper()})"
        )


class MemberBudgetForm(forms.Form):
    units = forms.IntegerField(
        label="At most, each window",
        min_value=0,
        max_value=budgets.MOST_UNITS,
        error_messages={
            "invalid": "Write a whole number of units, 0 for none at all.",
            "min_value": "Write a whole number of units, 0 for none at all.",
            "max_value": f"That is more than can be counted: write {budgets.MOST_UNITS:,} at most.",
            "required": "Write a whole number of units, 0 for none at all.",
        },
    )

    def __init__(self, data: Any = None, *, account: Account) -> None:
        super().__init__(data, prefix="member")
        who = account.members.exclude(role=Member.Role.GUEST).select_related("user")
        self.fields["member"] = MemberField(
            queryset=who.order_by("joined_at"),
            empty_label=None,
            error_messages={
                "invalid_choice": "This person is not in your organization any more. Choose another."
            },
        )
        self.fields["feature"] = forms.ChoiceField(
            choices=[(key, feature.name) for key, feature in budgets.countable().items()],
            label="What",
            error_messages={"invalid_choice": "That is not counted. Choose one from the list."},
        )
        self.order_fields(["member", "feature", "units"])


class MemberField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """A person of the organization, by name."""

    def label_from_instance(self, obj: Member) -> str:
        return obj.user.name or obj.user.email
