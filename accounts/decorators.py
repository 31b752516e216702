"""Who may open a page: anyone acting for an account, or only those who may touch its billing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from accounts import members
from accounts.models import Member
from accounts.requests import AccountRequest

P = ParamSpec("P")
AccountView = Callable[Concatenate[AccountRequest, P], HttpResponseBase]
PlainView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def account_required(view: AccountView[P]) -> PlainView[P]:
    """Signed in and acting for an account; otherwise to sign in, or to the page that opens an account."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if cast("AccountRequest", request).member is None:
            return redirect("accounts:none")
        return view(cast("AccountRequest", request), *args, **kwargs)

    return cast("PlainView[P]", login_required(inner))


def billing_admin_required(view: AccountView[P]) -> PlainView[P]:
    """An owner or admin of the account; others get a 403 page that names who can do it."""

    @wraps(view)
    def inner(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.member.may_bill:
            return only_billing_admins(request)
        return view(request, *args, **kwargs)

    return account_required(cast("AccountView[P]", inner))


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
