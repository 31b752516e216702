"""The centre: what one was told, which of it comes by mail, and the link in a mail that ends it."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.decorators import sign_in_required
from accounts.models import InboxEntry, User
from accounts.notifications import kinds, preferences

SHOWN = 30


@require_GET
@never_cache
@sign_in_required
def index(request: HttpRequest) -> HttpResponse:
    """The newest first, of all accounts one belongs to; looking does not mark anything as read."""
    mine = InboxEntry.objects.of(cast("User", request.user)).select_related("notification__account")
    before = request.GET.get("before", "")
    entries = mine
    if before.isascii() and before.isdigit() and len(before) < 19:
        entries = entries.filter(pk__lt=int(before))
    found = list(entries.order_by("-id")[: SHOWN + 1])
    return render(
        request,
        "accounts/notifications.html",
        {
            "entries": found[:SHOWN],
            "older": found[SHOWN - 1].pk if len(found) > SHOWN else None,
            "is_latest": not before,
            "unread_count": mine.unread().count(),
        },
    )


@require_POST
@sign_in_required
def read(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one as read. Somebody else's is 404."""
    mine = InboxEntry.objects.of(cast("User", request.user))
    entry = get_object_or_404(mine, pk=pk)
    mine.unread().filter(pk=entry.pk).update(read_at=timezone.now())
    return redirect("accounts:notifications")


@require_POST
@sign_in_required
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark all as read that were there when the page was drawn; what came after it stays new."""
    unread = InboxEntry.objects.of(cast("User", request.user)).unread()
    newest = request.POST.get("newest", "")
    if newest.isascii() and newest.isdigit() and len(newest) < 19:
        unread = unread.filter(pk__lte=int(newest))
    unread.update(read_at=timezone.now())
    return redirect("accounts:notifications")


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@sign_in_required
def mail_preferences(request: HttpRequest) -> HttpResponse:
    """Which kinds come by mail. Billing and security are shown, ticked and fixed."""
    user = cast("User", request.user)
    if request.method == "POST":
        chosen = set(request.POST.getlist("kinds"))
        preferences.choose(
            user=user,
            wanted={kind.name: kind.name in chosen for kind in kinds.KINDS.values() if kind.may_refuse_mail},
        )
        messages.success(request, "Saved.")
        return redirect("accounts:mail_preferences")
    wanted = preferences.of(user)
    groups = [
        (
            heading,
            category not in kinds.ALWAYS_BY_MAIL,
            [
                (kind, wanted[kind.name])
                for kind in kinds.KINDS.values()
                if kind.category == category and kind.is_listed
            ],
        )
        for category, heading in kinds.CATEGORIES.items()
    ]
    return render(request, "accounts/notification_settings.html", {"groups": groups})


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """From a mail, without signing in: a GET asks (mail scanners follow links), a POST does it.

    Mail programs post here by themselves (https://www.rfc-editor.org/rfc/rfc8058), without a cookie; the signed
    link is the proof, and all it can do is end mail of one kind.
    """
    user, kind = preferences.read_token(token)
    is_done = request.method == "POST"
    if is_done:
        try:
            preferences.choose(user=user, wanted={kind.name: False})
        except preferences.CannotBeRefused as error:
            return render(
                request, "accounts/unsubscribe.html", {"kind": kind, "refusal": str(error)}, status=409
            )
    return render(request, "accounts/unsubscribe.html", {"kind": kind, "is_done": is_done})
