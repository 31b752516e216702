"""The staff page that explains one account."""

from __future__ import annotations

import uuid

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.models import Account
from billing import clock
from usage import explaining


@require_GET
@admin.site.admin_view
def explain(request: HttpRequest, account_id: uuid.UUID) -> HttpResponse:
    """For staff who may see accounts and what they bought."""
    if not request.user.has_perms(("accounts.view_account", "billing.view_subscription")):
        raise PermissionDenied
    account = get_object_or_404(Account, pk=account_id)
    context = {
        **admin.site.each_context(request),
        "title": f"Why? {account}",
        "account": account,
        "parts": explaining.explain(account, now=clock.now(account)),
    }
    return render(request, "admin/explain.html", context)
