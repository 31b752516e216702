"""Where a subscription is needed: a product's pages send accounts without one to the billing pages, which stay open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from accounts.requests import AccountRequest
from billing import gates
from billing import rights as rights_of_request
from billing.access import Level
from billing.entitlements import Entitlements

# This house's own pages: what is owed is paid, read and exported there, so they are never closed.
OPEN_APPS = frozenset({"accounts", "billing", "usage", "admin"})
OPEN_MODULES = (
    "accounts.",
    "allauth.",
    "billing.",
    "config.",
    "django.contrib.",
    "django.views.static",
    "usage.",
)


class SubscriptionRequiredMiddleware:
    """Below SUBSCRIPTION_REQUIRED_PATHS, less SUBSCRIPTION_OPEN_PATHS, only for accounts that have paid or are given a
    plan (payment grace counts). Nothing is closed while the first list is empty.

    Visitors pass: whether a page needs somebody to be signed in is the page's own matter.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        if not _is_closed(request.path_info) or _is_ours(request, view):
            return None
        if getattr(request, "account", None) is None:
            return None
        rights = rights_of_request.of(request)
        if rights.level >= Level.GRACE:
            return None
        return _refuse(cast("AccountRequest", request), rights)


def _is_closed(path: str) -> bool:
    return path.startswith(tuple(settings.SUBSCRIPTION_REQUIRED_PATHS)) and not path.startswith(
        tuple(settings.SUBSCRIPTION_OPEN_PATHS)
    )


def _is_ours(request: HttpRequest, view: Callable[..., Any]) -> bool:
    match = request.resolver_match
    is_of_our_apps = match is not None and bool(OPEN_APPS.intersection(match.app_names))
    return is_of_our_apps or view.__module__.startswith(OPEN_MODULES)


def _refuse(request: AccountRequest, rights: Entitlements) -> HttpResponse:
    where = "billing:pricing" if rights.subscription is None and not rights.is_blocked else "billing:settings"
    if rights.is_blocked:
        heading, said = "This account is on hold", gates.ON_HOLD
    elif rights.subscription is None:
        heading = "This needs a plan"
        said = "Choose a plan to go on; nothing of yours is lost."
    else:
        heading = "The subscription has lapsed"
        said = "Put it right to go on; nothing of yours is lost."
    # A form that was sent is not sent elsewhere: whoever sent it is told that it was not done.
    is_reading = request.method in ("GET", "HEAD")
    if is_reading and request.member.may_bill and not gates.wants_problem(request):
        messages.warning(request, f"{heading}. {said}")
        return redirect(where)
    return gates.refuse(
        request,
        status=402,
        code="subscription_required",
        heading=heading,
        detail=f"{heading}. {said}" if gates.wants_problem(request) else said,
        upgrade_url="" if rights.is_blocked else gates.upgrade_url(),
        reason=rights.reason,
    )
