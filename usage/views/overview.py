"""What is used and left in each window, and the latest acts."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.decorators import account_required
from accounts.requests import AccountRequest
from billing import catalog
from usage.models import UsageRecord
from usage.views.demo import demo_feature

ACTS_ON_A_PAGE = 20


@require_GET
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """What is used and left in each window, and the latest acts."""
    acts = UsageRecord.objects.filter(account=request.account).select_related("user", "api_key")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        acts = acts.filter(pk__lt=int(before))
    found = list(acts.order_by("-id")[: ACTS_ON_A_PAGE + 1])
    return render(
        request,
        "usage/overview.html",
        {
            "acts": found[:ACTS_ON_A_PAGE],
            "older": found[ACTS_ON_A_PAGE - 1].pk if len(found) > ACTS_ON_A_PAGE else None,
            "is_latest": not before,
            "features": catalog.current().features,
            "may_generate": settings.DEMO and demo_feature() is not None,
        },
    )
