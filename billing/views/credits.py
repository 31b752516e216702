"""Credits: what is left of units bought ahead or given, the packs for sale, and the history of every unit."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.decorators import account_required, billing_admin_required
from accounts.requests import AccountRequest
from billing import catalog, clock, credits, money
from billing import rights as rights_of_request
from billing.catalog import Allowance, Feature, Pack
from billing.lifecycle import packs
from billing.models import CreditEntry, CreditGrant
from billing.stripe import gateway

ENTRIES_ON_A_PAGE = 30
GRANTS_SHOWN = 50
# How often the waiting page asks again before it says that the bank takes longer: 10 × 3 s.
PATIENCE = 10


@require_GET
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """Balances and history for every member; sums of money and buttons for those who may buy."""
    account, may_bill = request.account, request.member.may_bill
    now = clock.now(account)
    entries = CreditEntry.objects.filter(grant__account=account).select_related("grant")
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        entries = entries.filter(pk__lt=int(before))
    found = list(entries.order_by("-id")[: ENTRIES_ON_A_PAGE + 1])
    grants = CreditGrant.objects.filter(account=account).order_by("-granted_at", "-id")[:GRANTS_SHOWN]
    return render(
        request,
        "billing/credits.html",
        {
            "balances": [
                (balance, _feature(balance.feature)) for balance in credits.balances(account, now=now)
            ],
            "packs": [_offer(pack) for pack in _useful(request)],
            "grants": [(grant, _feature(grant.feature), grant.is_over(now)) for grant in grants],
            "entries": [(entry, _feature(entry.grant.feature)) for entry in found[:ENTRIES_ON_A_PAGE]],
            "older": found[ENTRIES_ON_A_PAGE - 1].pk if len(found) > ENTRIES_ON_A_PAGE else None,
            "is_latest": not before,
            "may_bill": may_bill,
            "most": packs.MOST_PACKS,
        },
    )


@require_POST
@never_cache
@billing_admin_required
def buy(request: AccountRequest) -> HttpResponse:
    """Open Stripe's page for the posted `pack` (a lookup key) and `number`, and send the browser there."""
    account = request.account
    try:
        pack = catalog.current().pack(request.POST.get("pack", ""))
    except catalog.UnknownPack:
        return _back(request, "That pack is not on sale. Choose one from this page.")
    number = request.POST.get("number", "1")
    if not number.isascii() or not number.isdigit() or len(number) > 4:
        return _back(request, "The number of packs must be a whole number.")
    try:
        url = packs.start(
            account=account, pack=pack, number=int(number), user=request.user, now=clock.now(account)
        )
    except packs.CheckoutRefused as refusal:
        return _back(request, str(refusal))
    except packs.Busy:
        return _back(request, "Another change to this account is in progress. Try again in a moment.")
    except gateway.StripeError:
        return _back(
            request, "The payment page could not be opened and nothing was charged. Try again in a minute."
        )
    response = redirect(url)
    response.status_code = 303
    return response


@require_GET
@never_cache
@billing_admin_required
def bought(request: AccountRequest) -> HttpResponse:
    """Where Stripe sends the browser after paying a pack. Says that the units are there once they are."""
    session_id = request.GET.get("session_id", "")
    if not session_id:
        return redirect("billing:credits")
    asked = int(tries) if (tries := request.GET.get("asked", "0")).isdigit() and len(tries) < 4 else 0
    try:
        outcome, grant = packs.complete(account=request.account, session_id=session_id)
    except packs.NotYours:
        return render(request, "404.html", status=404)
    except gateway.StripeError:
        outcome, grant = packs.Outcome.PENDING, None  # Stripe's letter will bring the truth
    if outcome == packs.Outcome.UNPAID:
        return _back(request, "The payment was not finished, so nothing was charged. You can try again.")
    if grant is not None:
        words = money.quantity(grant.units, _feature(grant.feature))
        messages.success(request, f"Paid: {words} are added to your credits.")
        return redirect("billing:credits")
    again = f"{reverse('billing:pack_bought')}?session_id={session_id}&asked={asked + 1}"
    return render(request, "billing/pack_waiting.html", {"again": again if asked < PATIENCE else ""})


def _useful(request: AccountRequest) -> list[Pack]:
    """The packs of what the account's plan counts to an end; those of what it has without end add nothing."""
    if not request.member.may_bill:
        return []
    rights = rights_of_request.of(request)
    return [pack for pack in catalog.current().packs if not _is_endless(rights.allowance(pack.feature))]


def _is_endless(allowance: Allowance | None) -> bool:
    return allowance is not None and allowance.quantity is None


def _offer(pack: Pack) -> dict[str, Any]:
    return {"pack": pack, "holds": money.pack_phrase(pack, _feature(pack.feature))}


def _feature(key: str) -> Feature:
    """The feature, or what is left of its name when the price list does not have it any more."""
    gone = Feature(key=key, name=key, unit_one=key, unit_many=key, kind="allowance")
    return catalog.current().features.get(key, gone)


def _back(request: AccountRequest, reason: str) -> HttpResponse:
    messages.error(request, reason)
    return redirect("billing:credits")
