"""Who may open a page: anyone acting for an account, or only those who may touch its billing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from accounts import members
from accounts.models import Member
from accounts.requests import AccountRequest

P = ParamSpec("P")
AccountView = Callable[Concatenate[AccountRequest, P], HttpResponseBase]
PlainView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def sign_in_required(view: PlainView[P]) -> PlainView[P]:
    """Signed in; otherwise to the page where that is done, and back."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        return view(request, *args, **kwargs)

    return inner


def account_required(view: AccountView[P]) -> PlainView[P]:
    """Signed in and acting for an account; otherwise to sign in, or to the page that opens an account."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if cast("AccountRequest", request).member is None:
            return redirect("accounts:none")
        return view(cast("AccountRequest", request), *args, **kwargs)

    return sign_in_required(inner)


def billing_admin_required(view: AccountView[P]) -> PlainView[P]:
    """An owner or admin of the account; others get a 403 page that names who can do it."""

    @wraps(view)
    def inner(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.member.may_bill:
            return only_billing_admins(request)
        return view(request, *args, **kwargs)

    return account_required(cast("AccountView[P]", inner))


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """And then to the page that was asked for; who pressed a button comes back to the page that has it."""
    if request.method != "POST":
        return redirect_to_login(request.get_full_path())
    came_from = request.headers.get("Referer", "")
    is_ours = url_has_allowed_host_and_scheme(came_from, allowed_hosts={request.get_host()})
    page = urlsplit(came_from)
    back = urlunsplit(("", "", page.path, page.query, ""))
    return redirect_to_login(back if is_ours and url_has_allowed_host_and_scheme(back, None) else "/")


def only_billing_admins(request: AccountRequest) -> HttpResponse:
    """The 403 page: what happened, and whom to ask."""
    return _refused(request, Member.BILLING_ROLES)


def only_owners(request: AccountRequest) -> HttpResponse:
    """As `only_billing_admins`, for what an admin may not do either."""
    return _refused(request, (Member.Role.OWNER,))


def _refused(request: AccountRequest, roles: Collection[Member.Role]) -> HttpResponse:
    context = {
        "people": members.names_of(request.account, roles=roles),
        "is_for_owners": Member.Role.ADMIN not in roles,
    }
    return render(request, "accounts/only_billing_admins.html", context, status=403)
