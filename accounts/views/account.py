"""Pages about oneself and the account acted for: switch, settings, profile, a new organization."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from accounts import members
from accounts.decorators import account_required, only_billing_admins, sign_in_required
from accounts.forms import AccountForm, OrganizationForm, ProfileForm
from accounts.middleware import choose
from accounts.models import Account, User
from accounts.requests import AccountRequest
from billing import clock
from billing.lifecycle import customers


@require_POST
@sign_in_required
def switch(request: HttpRequest) -> HttpResponse:
    """Act for another account of one's own from now on in this browser. Any other id is 404."""
    try:
        wanted = UUID(request.POST.get("account", ""))
    except ValueError as error:
        raise Http404 from error
    account = Account.objects.of(cast("User", request.user)).filter(pk=wanted).first()
    if account is None:
        raise Http404
    choose(request, account)
    messages.success(request, f"You now act for {account.name}.")
    return redirect(_safe_next(request))


@require_http_methods(["GET", "HEAD", "POST"])
@account_required
def settings(request: AccountRequest) -> HttpResponse:
    """Name, billing e-mail and time zone; owners and admins change them, others read."""
    if request.method == "POST" and not request.member.may_bill:
        return only_billing_admins(request)
    form = AccountForm(request.POST or None, instance=Account.objects.get(pk=request.account.pk))
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            account = form.save()
            if not {"name", "billing_email"}.isdisjoint(form.changed_data):
                customers.introduce_later(account, now=clock.now(account))
        messages.success(request, "Saved.")
        return redirect("accounts:settings")
    return render(request, "accounts/settings.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
def profile(request: HttpRequest) -> HttpResponse:
    """One's name, and the way to password, addresses, second factor and sessions."""
    form = ProfileForm(request.POST or None, instance=User.objects.get(pk=cast("User", request.user).pk))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return render(request, "accounts/profile.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
def new_organization(request: HttpRequest) -> HttpResponse:
    form = OrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        account = members.open_organization(
            owner=cast("User", request.user), name=form.cleaned_data["name"], now=timezone.now()
        )
        choose(request, account)
        messages.success(request, f"{account.name} is open. Invite the people you work with.")
        return redirect("accounts:members")
    return render(
        request, "accounts/new_organization.html", {"form": form}, status=422 if form.errors else 200
    )


@require_http_methods(["GET", "HEAD", "POST"])
@sign_in_required
def none(request: HttpRequest) -> HttpResponse:
    """For a person with no account (made by staff, or removed from their last one): open the personal one."""
    if request.method == "POST":
        members.open_personal_account(user=cast("User", request.user), now=timezone.now())
        return redirect("/")
    return render(request, "accounts/none.html")


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else "/"
