"""The staff page that lets a trial end later: until when, and why."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from billing.lifecycle import trial_ends
from billing.models import Subscription
from billing.stripe import gateway

# https://docs.stripe.com/billing/subscriptions/trials: a trial is two years at most.
MOST_DAYS = 365


class MoreDaysForm(forms.Form):
    days = forms.IntegerField(label="More days", min_value=1, max_value=MOST_DAYS)
    reason = forms.CharField(max_length=300, help_text="Why, for whoever asks in a year.")
    nonce = forms.UUIDField(widget=forms.HiddenInput)


def put_off(request: HttpRequest, subscription_id: int) -> HttpResponse:
    """Ask how many days and why; then move the end at Stripe."""
    if not request.user.has_perm("billing.change_subscription"):
        raise PermissionDenied
    subscription = get_object_or_404(Subscription.objects.select_related("account"), pk=subscription_id)
    there = redirect("admin:billing_subscription_change", subscription.pk)
    if not subscription.is_live or subscription.status != "trialing" or subscription.trial_end is None:
        messages.error(request, "It is not on a trial, so there is no end to put off.")
        return there
    form = MoreDaysForm(
        request.POST if request.method == "POST" else None, initial={"days": 7, "nonce": uuid.uuid4()}
    )
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        try:
            trial_ends.put_off(
                account=subscription.account,
                days=form.cleaned_data["days"],
                reason=reason,
                by=str(request.user),
                nonce=str(form.cleaned_data["nonce"]),
            )
        except trial_ends.NothingToChange as refusal:
            form.add_error(None, str(refusal))
        except trial_ends.Busy:
            form.add_error(None, "Another change of this account is in progress. Try again in a moment.")
        except gateway.StripeError as error:
            form.add_error(None, f"{error} Press again: it is done once.")
        else:
            subscription.refresh_from_db()
            said = f"The trial ends on {subscription.trial_end:%-d %B %Y, %H:%M} UTC"
            _log(request, subscription, f"{said}: {reason}")
            messages.success(request, f"{said}.")
            return there
    context = {
        **admin.site.each_context(request),
        "title": f"A longer trial for {subscription.account}",
        "form": form,
        "subscription": subscription,
        "opts": Subscription._meta,
    }
    return render(request, "admin/billing/longer_trial.html", context, status=422 if form.errors else 200)


def _log(request: HttpRequest, subscription: Subscription, said: str) -> None:
    assert request.user.pk is not None
    LogEntry.objects.log_actions(
        user_id=request.user.pk,
        queryset=[subscription],
        action_flag=CHANGE,
        change_message=said,
        single_object=True,
    )
