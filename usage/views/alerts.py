"""Alerts: at which percents of an allowance and at which sums an account is warned; owners and admins set them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.decorators import account_required, only_billing_admins
from accounts.requests import AccountRequest
from billing import catalog, clock, currencies
from billing import rights as rights_of_request
from usage.alerts import choosing
from usage.metering import spending
from usage.models import Crossing
from usage.views.alert_forms import AlertForm

CROSSINGS_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """The thresholds, and which were reached lately. Members read, owners and admins change."""
    account = request.account
    if request.method == "POST" and not request.member.may_bill:
        return only_billing_admins(request)
    currency = currencies.of(account.pk)
    wishes = choosing.of(account)
    form = AlertForm(request.POST or None, currency=currency, wishes=wishes)
    if request.method == "POST" and form.is_valid():
        choosing.choose(
            account=account,
            percents=form.cleaned_data["percents"],
            amounts=form.cleaned_data["amounts"],
            by=request.user,
            now=clock.now(account),
        )
        messages.success(request, "Saved. From now on you are told at these.")
        return redirect("usage:alerts")
    rights = rights_of_request.of(request)
    features = catalog.current().features
    reached = Crossing.objects.filter(account=account).order_by("-crossed_at", "-threshold")
    return render(
        request,
        "usage/alerts.html",
        {
            "form": form,
            "wishes": wishes,
            "currency": currency,
            "may_bill": request.member.may_bill,
            "prices": spending.prices(rights),
            "spent": spending.spent(rights),
            "month": spending.month(rights),
            "reached": [
                (crossing, features[crossing.feature].name if crossing.feature in features else "")
                for crossing in reached[:CROSSINGS_SHOWN]
                if crossing.is_told or crossing.threshold in wishes.percents
            ],
        },
        status=422 if form.errors else 200,
    )
