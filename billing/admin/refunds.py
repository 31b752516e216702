"""The staff page that gives a payment back: how much, why, and what was given back before."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from billing import money
from billing.leaving import refunds
from billing.models import Payment
from billing.stripe import gateway


class RefundForm(forms.Form):
    amount = forms.DecimalField(label="Give back")
    reason = forms.CharField(max_length=300, help_text="Why, for whoever asks in a year.")
    nonce = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, payment: Payment, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.payment = payment
        places = money.decimal_places(payment.currency)
        most = money.decimal(refunds.refundable(payment), payment.currency)
        field = self.fields["amount"]
        assert isinstance(field, forms.DecimalField)
        field.help_text = f"{payment.currency.upper()}, at most {most}."
        # A browser counts the steps from the least: one unit for both, or it takes no ordinary sum.
        unit = str(Decimal(1).scaleb(-places))
        field.widget.attrs |= {"min": unit, "step": unit, "max": str(most)}

    def clean_amount(self) -> int:
        """In minor units."""
        typed: Decimal = self.cleaned_data["amount"]
        minor = typed.scaleb(money.decimal_places(self.payment.currency))
        most = refunds.refundable(self.payment)
        if minor != minor.to_integral_value() or not 0 < minor <= most:
            shown = money.text(most, self.payment.currency)
            raise forms.ValidationError(
                f"It must be at most {shown}, without fractions of the smallest unit."
            )
        return int(minor)


def give_back(request: HttpRequest, payment_id: int) -> HttpResponse:
    """Ask how much and why; then refund at Stripe."""
    if not request.user.has_perm("billing.change_payment"):
        raise PermissionDenied
    payment = get_object_or_404(Payment.objects.select_related("account"), pk=payment_id)
    there = redirect("admin:billing_payment_change", payment.pk)
    if refunds.refundable(payment) == 0:
        messages.error(request, refunds.why_not(payment))
        return there
    most = money.decimal(refunds.refundable(payment), payment.currency)
    form = RefundForm(
        payment,
        request.POST if request.method == "POST" else None,
        initial={"amount": most, "nonce": uuid.uuid4()},
    )
    if request.method == "POST" and form.is_valid():
        try:
            refunds.refund(
                payment=payment,
                amount=form.cleaned_data["amount"],
                reason=form.cleaned_data["reason"],
                nonce=str(form.cleaned_data["nonce"]),
            )
        except refunds.NotRefundable as refusal:
            form.add_error("amount", str(refusal))
        except refunds.Busy:
            form.add_error(None, "Another change of this account is in progress. Try again in a moment.")
        except gateway.StripeError as error:
            form.add_error(None, f"{error} Press again: it is given back once.")
        else:
            shown = money.text(form.cleaned_data["amount"], payment.currency)
            _log(request, payment, f"{shown} given back: {form.cleaned_data['reason']}")
            messages.success(request, f"{shown} is on its way back.")
            return there
    context = {
        **admin.site.each_context(request),
        "title": f"Give back {payment.number or payment.stripe_invoice_id}",
        "form": form,
        "payment": payment,
        "opts": Payment._meta,
    }
    return render(request, "admin/billing/refund.html", context, status=422 if form.errors else 200)


def _log(request: HttpRequest, payment: Payment, said: str) -> None:
    assert request.user.pk is not None
    LogEntry.objects.log_actions(
        user_id=request.user.pk,
        queryset=[payment],
        action_flag=CHANGE,
        change_message=said,
        single_object=True,
    )
