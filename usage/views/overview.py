"""The usage page: what is left, each day as a bar, what it costs and where it is going, by whom and which key."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.decorators import account_required
from accounts.models import Account
from accounts.requests import AccountRequest
from billing import catalog, entitlements
from billing import rights as rights_of_request
from billing.entitlements import Entitlements
from usage import metering
from usage.metering import Balance, spending
from usage.models import Budget
from usage.periods import Period
from usage.reports import chart, daily, projection, spans
from usage.views.demo import demo_feature


@require_GET
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """One feature at a time; members see what they used themselves, owners and admins everybody."""
    account, rights = request.account, rights_of_request.of(request)
    is_blocked = rights.is_blocked
    if is_blocked:
        # Nothing is granted, and what was used and is paid for is told all the same.
        rights = entitlements.beneath_a_hold(account, now=rights.now)
    balances = metering.balances(account, now=rights.now, rights=rights)
    balance = _chosen(balances, request.GET.get("feature", ""))
    context = {
        "may_generate": settings.DEMO and demo_feature() is not None and not is_blocked,
        "may_bill": request.member.may_bill,
        "features": catalog.current().features,
        "has_counts": bool(balances),
    }
    if balance is not None:
        span = spans.of(
            request.GET.get("span", ""),
            window=Period(balance.period_start, balance.period_end),
            anchor=rights.anchor,
            now=rights.now,
            trial_start=spans.trial_start(rights),
        )
        only = None if request.member.may_bill else request.user
        report = daily.of(account, balance.feature, span=span, only=only)
        context |= {
            "balances": balances,
            "balance": balance,
            "feature": catalog.current().feature(balance.feature),
            "report": report,
            "chart": chart.of(report),
            "spans": spans.NAMES.items(),
            "projection": projection.of(balance, rights) if span.key == "window" and not is_blocked else None,
            **_money(account, rights),
        }
    return render(request, "usage/overview.html", context)


def _chosen(balances: list[Balance], wanted: str) -> Balance | None:
    return next((balance for balance in balances if balance.feature == wanted), next(iter(balances), None))


def _money(account: Account, rights: Entitlements) -> dict[str, object]:
    """What units cost so far this billing month, and the budget for it; nothing where nothing is paid by the unit."""
    if not spending.prices(rights):
        return {}
    return {
        "spent": spending.spent(rights),
        "currency": rights.currency,
        "budget": Budget.objects.filter(account=account).first(),
        "month": spending.month(rights),
    }
