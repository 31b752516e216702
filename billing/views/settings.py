"""Billing settings: what the account has, what it will pay and when, and the buttons that change it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.decorators import account_required, billing_admin_required
from accounts.requests import AccountRequest
from billing import catalog, checkout, subscriptions
from billing import rights as rights_of_request
from billing.models import Customer, Payment
from billing.stripe import gateway

BUSY = "Another change to this account's plan is in progress. Try again in a moment."
UNREACHABLE = "Stripe could not be reached, so nothing was changed. Try again in a minute."
PAYMENTS_SHOWN = 24


@require_GET
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """The plan, its status, the next charge, the card and the payments. Members see it without money or buttons."""
    account = request.account
    rights = rights_of_request.of(request)
    subscription = rights.subscription
    return render(
        request,
        "billing/settings.html",
        {
            "rights": rights,
            "subscription": subscription,
            "price": catalog.current().find_price(subscription.price_lookup_key) if subscription else None,
            "bought": catalog.current().plans.get(subscription.plan_key) if subscription else None,
            "customer": Customer.objects.filter(account=account).first(),
            "may_bill": request.member.may_bill,
            "payments": Payment.objects.filter(account=account)
            .exclude(status="draft")
            .order_by("-created_at", "-id")[:PAYMENTS_SHOWN]
            if request.member.may_bill
            else (),
        },
    )


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def cancel(request: AccountRequest) -> HttpResponse:
    """Ask once, saying the last day and what stays; then cancel at the end of the paid time."""
    account = request.account
    rights = rights_of_request.of(request)
    subscription = rights.subscription
    if subscription is None or subscription.is_canceling:
        messages.info(request, "There is no running plan to cancel.")
        return redirect("billing:settings")
    if request.method == "GET":
        free = catalog.current().default_plan
        last = (
            subscription.trial_end if subscription.status == "trialing" else subscription.current_period_end
        )
        return render(
            request,
            "billing/cancel.html",
            {"rights": rights, "subscription": subscription, "last_day": last, "free": free},
        )
    try:
        subscriptions.cancel(account=account)
    except subscriptions.NothingToChange:
        messages.info(request, "There is no running plan to cancel.")
    except subscriptions.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(
            request, "Your plan is canceled. It stays on until its last day; nothing more is charged."
        )
    return redirect("billing:settings")


@require_POST
@never_cache
@billing_admin_required
def resume(request: AccountRequest) -> HttpResponse:
    """Take a cancellation back while the plan still runs."""
    try:
        subscriptions.resume(account=request.account)
    except subscriptions.NothingToChange:
        messages.info(request, "There is no cancellation to take back.")
    except subscriptions.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(request, "Your plan goes on. The next charge is as before.")
    return redirect("billing:settings")


@require_POST
@never_cache
@billing_admin_required
def portal(request: AccountRequest) -> HttpResponse:
    """Send the browser to Stripe's portal: cards, invoices, cancel. The link is a key and is never kept or logged."""
    flow = "payment_method_update" if request.POST.get("flow") == "payment_method_update" else None
    try:
        url = checkout.open_portal(
            account=request.account,
            return_path="/billing/returned/",
            flow=flow,
        )
    except checkout.Busy:
        messages.error(request, BUSY)
        return redirect("billing:settings")
    except gateway.StripeError:
        messages.error(request, "Stripe's page could not be opened. Try again in a minute.")
        return redirect("billing:settings")
    response = redirect(url)
    response.status_code = 303
    return response


@require_GET
@never_cache
@billing_admin_required
def returned(request: AccountRequest) -> HttpResponse:
    """Back from the portal: ask Stripe what changed there before showing the settings again."""
    try:
        subscriptions.sync(
            account=request.account,
            reason="portal_return",
            wait_seconds=subscriptions.PATIENCE_SECONDS,
        )
    except gateway.StripeError:
        messages.info(request, "What you changed at Stripe will show here in a moment.")
    return redirect("billing:settings")
