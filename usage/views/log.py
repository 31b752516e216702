"""The event log, for auditing one's own bill: each act with its key and its sources; and as a CSV file."""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.decorators import account_required
from accounts.models import ApiKey, User
from accounts.requests import AccountRequest
from billing import catalog
from usage import denominations
from usage.reports import csv, log
from usage.reports.log import Wanted

ACTS_ON_A_PAGE = 50
# Larger numbers are not ids of ours, and databases refuse them.
LARGEST_ID = 2**63 - 1


@require_GET
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """Fifty acts at a time, newest first. Members see their own, owners and admins all."""
    wanted = _wanted(request)
    acts = log.acts(request.account, wanted, only=_only(request)).select_related("user", "api_key")
    before = _number(request, "before")
    if before is not None:
        acts = acts.filter(pk__lt=before)
    found = list(acts[: ACTS_ON_A_PAGE + 1])
    costs_in = denominations.of(request.account.pk)
    return render(
        request,
        "usage/log.html",
        {
            "acts": [(act, costs_in.of(act.pk)) for act in found[:ACTS_ON_A_PAGE]],
            "older": found[ACTS_ON_A_PAGE - 1].pk if len(found) > ACTS_ON_A_PAGE else None,
            "is_latest": before is None,
            "wanted": wanted,
            "query": _query(request),
            "features": catalog.current().features,
            "may_bill": request.member.may_bill,
            "people": User.objects.filter(memberships__account=request.account).order_by("name", "email"),
            "keys": ApiKey.objects.filter(account=request.account).order_by("name", "pk"),
        },
    )


@require_GET
@never_cache
@account_required
def export(request: AccountRequest) -> StreamingHttpResponse:
    """The same acts as a CSV file, read and sent line by line."""
    found = log.acts(request.account, _wanted(request), only=_only(request))
    response = StreamingHttpResponse(
        csv.lines(log.each(found), costs_in=denominations.of(request.account.pk)),
        content_type="text/csv; charset=utf-8",
    )
    day = timezone.now().strftime("%Y-%m-%d")
    response["Content-Disposition"] = f'attachment; filename="usage-{day}.csv"'
    return response


def _only(request: AccountRequest) -> User | None:
    return None if request.member.may_bill else request.user


def _wanted(request: HttpRequest) -> Wanted:
    """What the address asks for; what cannot be read is not asked for."""
    feature = request.GET.get("feature", "")
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        day = None
    return Wanted(
        feature=feature if feature in catalog.current().features else "",
        day=day,
        user_id=_number(request, "member"),
        key_id=_number(request, "key"),
    )


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    return number if number is None or number <= LARGEST_ID else None


def _query(request: HttpRequest) -> str:
    return urlencode(
        {name: request.GET[name] for name in ("feature", "day", "member", "key") if request.GET.get(name)}
    )
