"""The embedded demo's product: one button that uses one unit."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts.decorators import account_required
from accounts.requests import AccountRequest
from billing import catalog, clock, entitlements
from billing.catalog import Feature
from usage import metering


@require_http_methods(["GET", "POST"])
@account_required
def demo(request: AccountRequest) -> HttpResponse:
    """The embedded demo's product: one button that uses one unit. Each button shown has a key of its own, so
    reloading or pressing twice counts once."""
    feature = demo_feature() if settings.DEMO else None
    if feature is None:
        raise Http404
    refusal: metering.Refused | None = None
    if request.method == "POST":
        try:
            receipt = metering.consume(
                account=request.account,
                feature=feature.key,
                idempotency_key=request.POST.get("key") or str(uuid.uuid4()),
                now=clock.wall(),
                user=request.user,
            )
        except metering.Refused as refused:
            refusal = refused
        except (metering.InvalidKey, metering.IdempotencyConflict, metering.CheckFailed) as error:
            messages.error(request, str(error))
            return redirect("usage:demo")
        else:
            messages.success(request, _said(receipt, feature))
            return redirect("usage:demo")
    return render(
        request, "usage/demo.html", _demo_page(request, feature, refusal), status=402 if refusal else 200
    )


def demo_feature() -> Feature | None:
    """What the button uses: the first thing the price list counts."""
    countable = (
        feature for feature in catalog.current().features.values() if feature.kind in ("allowance", "metered")
    )
    return next(countable, None)


def _demo_page(request: AccountRequest, feature: Feature, refusal: metering.Refused | None) -> dict[str, Any]:
    now = clock.now(request.account)
    rights = entitlements.of(request.account, now=now)
    try:
        balance = metering.balance(request.account, feature.key, now=now, rights=rights)
    except metering.FeatureNotIncluded:
        balance = None
    return {
        "feature": feature,
        "balance": balance,
        "plan": rights.plan,
        "rights": rights,
        "refusal": refusal,
        "may_bill": request.member.may_bill,
        "key": uuid.uuid4(),
    }


def _said(receipt: metering.Receipt, feature: Feature) -> str:
    if receipt.replayed:
        return "This press was counted already, so nothing was added."
    one = feature.unit_one
    if receipt.remaining is None:
        return f"Done: one {one} used, {receipt.used:,} so far."
    return f"Done: one {one} used, {receipt.remaining:,} left."
