"""Slack and webhooks of an organization: add, choose, roll, switch, and the log with its button to send again."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.decorators import billing_admin_required
from accounts.models import Account, Delivery, Destination
from accounts.notifications import destinations, outbox, outgoing
from accounts.notifications.forms import DestinationForm
from accounts.notifications.kinds import CATEGORIES
from accounts.requests import AccountRequest
from config import nudge

DELIVERIES_SHOWN = 30
REFUSALS = (
    destinations.TooMany,
    destinations.NothingChosen,
    destinations.NotSlack,
    outgoing.NotAllowed,
    outgoing.NotReached,
)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@billing_admin_required
def index(request: AccountRequest) -> HttpResponse:
    """The account's destinations, and a form for another."""
    form = DestinationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            destination, secret = destinations.add(
                account=request.account,
                channel=form.cleaned_data["channel"],
                url=form.cleaned_data["url"],
                categories=form.cleaned_data["categories"],
                by=request.member,
                now=timezone.now(),
            )
        except REFUSALS as refusal:
            form.add_error("url", str(refusal))
        except (destinations.NotAllowed, destinations.PersonalAccount) as error:
            raise PermissionDenied from error
        else:
            if secret:
                return _secret(request, destination, secret)
            messages.success(request, "Slack is told from now on.")
            return redirect("accounts:destinations")
    return render(
        request,
        "accounts/destinations.html",
        {
            "form": form,
            "is_personal": request.account.kind == Account.Kind.PERSONAL,
            "destinations": [
                (destination, _headings(destination))
                for destination in request.account.destinations.order_by("pk")
            ],
        },
        status=422 if form.errors else 200,
    )


@require_GET
@never_cache
@billing_admin_required
def show(request: AccountRequest, pk: int) -> HttpResponse:
    """One destination with the log of what went there, each attempt with its answer."""
    destination = _find(request, pk)
    deliveries = (
        destination.deliveries.select_related("notification").prefetch_related("tries").order_by("-pk")
    )
    return render(
        request,
        "accounts/destination.html",
        {
            "destination": destination,
            "categories": [
                (name, heading, name in destination.categories) for name, heading in CATEGORIES.items()
            ],
            "deliveries": [
                (delivery, sorted(delivery.tries.all(), key=lambda tried: -tried.pk)[:10])
                for delivery in deliveries[:DELIVERIES_SHOWN]
            ],
            "two_secrets": destination.old_secret_until is not None
            and timezone.now() < destination.old_secret_until,
        },
    )


@require_POST
@billing_admin_required
def choose(request: AccountRequest, pk: int) -> HttpResponse:
    destination = _find(request, pk)
    try:
        destinations.choose(
            destination=destination, categories=request.POST.getlist("categories"), by=request.member
        )
    except destinations.NothingChosen as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "Saved.")
    return redirect("accounts:destination", pk=pk)


@require_POST
@never_cache
@billing_admin_required
def roll(request: AccountRequest, pk: int) -> HttpResponse:
    """A new secret, shown in the answer to this POST and nowhere else."""
    destination = _find(request, pk)
    try:
        secret = destinations.roll_secret(destination=destination, by=request.member, now=timezone.now())
    except destinations.NotAWebhook:
        messages.error(request, "Slack has no secret to renew.")
        return redirect("accounts:destination", pk=pk)
    return _secret(request, destination, secret, is_rolled=True)


@require_POST
@billing_admin_required
def send_test(request: AccountRequest, pk: int) -> HttpResponse:
    """One message to try the receiver with."""
    destinations.send_test(destination=_find(request, pk), by=request.member, now=timezone.now())
    messages.success(request, "A test is on its way. Reload this page to see in the log what became of it.")
    return redirect("accounts:destination", pk=pk)


@require_POST
@billing_admin_required
def switch(request: AccountRequest, pk: int) -> HttpResponse:
    """On or off. What waited meanwhile leaves when it is on again."""
    destination = _find(request, pk)
    if request.POST.get("to") == "on":
        destinations.turn_on(destination=destination, by=request.member)
        outbox.hurry(destination, now=timezone.now())
        messages.success(request, "It is on. What waited is on its way.")
    else:
        destinations.turn_off(destination=destination, by=request.member, now=timezone.now())
        messages.success(request, "It is off. Messages wait until it is on again.")
    return redirect("accounts:destination", pk=pk)


@require_POST
@billing_admin_required
def remove(request: AccountRequest, pk: int) -> HttpResponse:
    destination = _find(request, pk)
    destinations.remove(destination=destination, by=request.member)
    messages.success(request, f"{destination.shown_url} is removed.")
    return redirect("accounts:destinations")


@require_POST
@billing_admin_required
def again(request: AccountRequest, pk: int, delivery: int) -> HttpResponse:
    """Send one message again, delivered or not; its webhook-id stays, so a receiver can tell."""
    owed = get_object_or_404(Delivery, pk=delivery, destination=_find(request, pk))
    outbox.again(owed, now=timezone.now())
    nudge.workers(nudge.DELIVER_NOTIFICATIONS)
    messages.success(request, "It is on its way again.")
    return redirect("accounts:destination", pk=pk)


def _find(request: AccountRequest, pk: int) -> Destination:
    return get_object_or_404(Destination, pk=pk, account=request.account)


def _secret(
    request: AccountRequest, destination: Destination, secret: str, *, is_rolled: bool = False
) -> HttpResponse:
    return render(
        request,
        "accounts/destination_secret.html",
        {"destination": destination, "secret": secret, "is_rolled": is_rolled},
    )


def _headings(destination: Destination) -> list[str]:
    return [heading for name, heading in CATEGORIES.items() if name in destination.categories]
