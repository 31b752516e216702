"""The page of an account's API keys: make one and see it once, roll it with an overlap, revoke it at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from accounts import api_keys
from accounts.decorators import billing_admin_required
from accounts.forms import KeyForm, RollForm
from accounts.models import ApiKey
from accounts.requests import AccountRequest
from billing import catalog, rights

NOT_IN_FORCE = "This key does not work any more, so there is nothing to change. Make a new one below."


@require_safe
@billing_admin_required
def index(request: AccountRequest) -> HttpResponse:
    return _page(request, KeyForm())


@require_POST
@never_cache
@sensitive_variables("key_text")
@billing_admin_required
def make(request: AccountRequest) -> HttpResponse:
    form = KeyForm(request.POST)
    if not includes_keys(request):
        return _page(request, form)
    if form.is_valid():
        now = timezone.now()
        try:
            key, key_text = api_keys.issue_for(
                account=request.account,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                by=request.user,
                now=now,
                expires_at=form.last_moment(now),
            )
        except api_keys.NameTaken:
            form.add_error(
                "name", "A key of this name works already. Choose another name, or roll or revoke that key."
            )
        except api_keys.TooManyKeys:
            form.add_error(None, f"{api_keys.MOST_KEYS} keys is the most. Revoke one that is not used.")
        else:
            return _shown_once(request, key, key_text, now=now)
    return _page(request, form)


@require_POST
@never_cache
@sensitive_variables("key_text")
@billing_admin_required
def roll(request: AccountRequest, pk: int) -> HttpResponse:
    old = get_object_or_404(ApiKey, pk=pk, account=request.account)
    form = RollForm(request.POST)
    if not form.is_valid() or not includes_keys(request):
        return redirect("accounts:keys")
    now = timezone.now()
    try:
        key, key_text = api_keys.roll(
            key=old, overlap=timedelta(hours=form.cleaned_data["hours"]), by=request.user, now=now
        )
    except api_keys.NotInForce:
        messages.error(request, NOT_IN_FORCE)
        return redirect("accounts:keys")
    old.refresh_from_db()
    return _shown_once(request, key, key_text, now=now, old=old)


@require_POST
@billing_admin_required
def revoke(request: AccountRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=pk, account=request.account)
    now = timezone.now()
    if not key.is_usable(now):
        messages.error(request, NOT_IN_FORCE)
    else:
        api_keys.revoke(key=key, now=now, by=request.user)
        messages.success(request, f"{key.name} ({key.prefix}…) is refused from the next call on.")
    return redirect("accounts:keys")


def includes_keys(request: HttpRequest) -> bool:
    """Whether the plan in force has `api_access`; a price list that does not speak of it gives it to all."""
    switch = catalog.current().features.get("api_access")
    return switch is None or switch.kind != "switch" or rights.of(request).includes("api_access")


def _shown_once(
    request: AccountRequest, key: ApiKey, key_text: str, *, now: datetime, old: ApiKey | None = None
) -> HttpResponse:
    context = {"key": key, "key_text": key_text, "old": old, "old_works": old and old.is_usable(now)}
    return render(request, "accounts/key_made.html", context)


def _page(request: AccountRequest, form: KeyForm) -> HttpResponse:
    now = timezone.now()
    is_included = includes_keys(request)
    keys = ApiKey.objects.filter(account=request.account).select_related("created_by", "replaced_by")
    context = {
        "form": form,
        "is_included": is_included,
        "plan": rights.of(request).plan,
        "keys": [key for key in keys.order_by("-created_at", "-pk") if key.is_usable(now)],
        "roll_form": RollForm(),
        "gone": [key for key in keys.order_by("-created_at", "-pk")[:100] if not key.is_usable(now)][:20],
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/keys.html", context, status=status if is_included else 403)
