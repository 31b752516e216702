"""Billing details: whom the invoices are for, the tax ids on them, and what that means for tax."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.decorators import billing_admin_required
from accounts.requests import AccountRequest
from billing.deals import tax
from billing.forms import DetailsForm, TaxIdForm
from billing.stripe import gateway
from billing.views.settings import BUSY, UNREACHABLE


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def details(request: AccountRequest) -> HttpResponse:
    """Name and address on the invoices; the tax ids have forms of their own."""
    form = DetailsForm(request.POST) if request.method == "POST" else None
    if form is not None and form.is_valid():
        address = {key: value for key, value in form.cleaned_data.items() if key != "name"}
        try:
            tax.save(account=request.account, name=form.cleaned_data["name"], address=address)
        except tax.NotAccepted as refusal:
            form.add_error(None, str(refusal))
        except tax.Busy:
            form.add_error(None, BUSY)
        except gateway.StripeError:
            form.add_error(None, UNREACHABLE)
        else:
            messages.success(request, "Saved. It stands on every invoice from now on.")
            return redirect("billing:details")
    return _page(request, form=form)


@require_POST
@never_cache
@billing_admin_required
def add_tax_id(request: AccountRequest) -> HttpResponse:
    form = TaxIdForm(request.POST)
    if form.is_valid():
        try:
            found = tax.add_tax_id(account=request.account, **form.cleaned_data)
        except tax.NotAccepted as refusal:
            form.add_error("value", str(refusal))
        except tax.Busy:
            form.add_error(None, BUSY)
        except gateway.StripeError:
            form.add_error(None, UNREACHABLE)
        else:
            messages.success(request, f"{found.value} stands on every invoice from now on.")
            return redirect("billing:details")
    return _page(request, tax_form=form)


@require_POST
@never_cache
@billing_admin_required
def remove_tax_id(request: AccountRequest) -> HttpResponse:
    try:
        tax.remove_tax_id(account=request.account, stripe_id=request.POST.get("tax_id", ""))
    except tax.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(request, "Removed. Invoices that are written already keep it.")
    return redirect("billing:details")


def _page(
    request: AccountRequest, *, form: DetailsForm | None = None, tax_form: TaxIdForm | None = None
) -> HttpResponse:
    found: tax.Details | None = None
    try:
        found = tax.details(request.account)
    except gateway.StripeError:
        messages.error(
            request, "Stripe could not be reached, so what it has of you cannot be shown just now."
        )
    known: dict[str, Any] = {"name": found.name, **found.address} if found else {}
    is_wrong = bool((form and form.errors) or (tax_form and tax_form.errors))
    context = {
        "found": found,
        "form": form or DetailsForm(initial=known),
        "tax_form": tax_form or TaxIdForm(),
        "has_tax": settings.STRIPE_AUTOMATIC_TAX,
    }
    status = 422 if is_wrong else 200 if found else 503
    return render(request, "billing/details.html", context, status=status)
