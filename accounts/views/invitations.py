"""The page an invitation's link opens, for people who have an account and people who must first sign up."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import members
from accounts.decorators import sign_in_required
from accounts.middleware import choose
from accounts.models import User
from billing import seats


@never_cache
@require_safe
def show(request: HttpRequest, token: str) -> HttpResponse:
    """Who invites, to what, as what. Joining is a button, so that a mail scanner's visit joins nobody."""
    try:
        invitation = members.find_invitation(token=token, now=timezone.now())
    except members.InvitationClosed:
        return _closed(request)
    return render(request, "accounts/invitation.html", {"invitation": invitation, "token": token})


@never_cache
@require_POST
@sign_in_required
def accept(request: HttpRequest, token: str) -> HttpResponse:
    now = timezone.now()
    try:
        account = members.find_invitation(token=token, now=now).account
        # The invitation holds its seat already; there is none when seats were given back meanwhile.
        with seats.room_for(account, people=0, now=now):
            member = members.accept(token=token, user=cast("User", request.user), now=now)
    except members.InvitationClosed:
        return _closed(request)
    except seats.SeatLimitReached:
        messages.error(request, "There is no free seat any more. Ask whoever invited you to make room.")
        return redirect("accounts:invitation", token=token)
    except members.WrongAddress:
        invitation = members.find_invitation(token=token, now=timezone.now())
        context = {"invitation": invitation, "token": token, "wrong_address": True}
        return render(request, "accounts/invitation.html", context, status=403)
    choose(request, member.account)
    messages.success(request, f"Welcome to {member.account.name}.")
    return redirect("/")


def _closed(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/invitation_closed.html", status=410)
