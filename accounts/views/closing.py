"""Taking one's data along, and closing the account: the page says what ends, what stays, and asks for the name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import account_required, only_owners
from accounts.models import Account, Member
from accounts.requests import AccountRequest
from billing import catalog, clock, money, rights
from billing.leaving import closing, erasing, refund_window
from billing.messages.words import plan_name
from billing.stripe import gateway
from usage import portability


@require_safe
@never_cache
@account_required
def export(request: AccountRequest) -> HttpResponse | StreamingHttpResponse:
    """Everything that is kept about the account, as one archive, written while it is sent."""
    if request.member.role != Member.Role.OWNER:
        return only_owners(request)
    parts: Iterator[bytes] = portability.archive(account=request.account, now=timezone.now())
    response = StreamingHttpResponse(parts, content_type="application/zip")
    day = timezone.now().strftime("%Y-%m-%d")
    response["Content-Disposition"] = f'attachment; filename="account-{request.account.pk}-{day}.zip"'
    return response


@require_http_methods(["GET", "POST"])
@never_cache
@account_required
def close(request: AccountRequest) -> HttpResponse:
    """Ask with everything on the table; close when the account's name is typed."""
    account = request.account
    if request.member.role != Member.Role.OWNER:
        return only_owners(request)
    if request.method == "GET":
        return _page(request)
    if request.POST.get("name", "").strip() != account.name:
        return _page(request, problem=f"Type the account's name, {account.name}, to close it.")
    try:
        reference = closing.close(account=account, by=request.user, now=clock.now(account))
    except closing.StillNeeded as needed:
        return _page(request, problem=_only_owner_of(needed.accounts))
    except closing.StillDisputed:
        return _page(
            request,
            problem="A bank has asked for a payment back, and that is not decided yet. It is answered with what is "
            "known about this account, so close it once that is over. Nothing was changed; to stop further charges "
            "now, cancel the plan.",
        )
    except closing.StillBound as bound:
        return _page(request, problem=_bound_until(bound.until))
    except closing.StillOwing as owing:
        return _page(
            request,
            problem="An invoice is open, so nothing was ended or changed. Pay it, then close the account."
            if owing.plan_runs
            else "The plan is over, and an invoice is open. Pay it, then close the account.",
        )
    except closing.StillDrafted as coming:
        sum_due = money.text(coming.invoice["amount_due"], coming.invoice["currency"])
        return _page(
            request,
            problem=f"An invoice over {sum_due} is being written and will be charged within the hour, so nothing "
            "was erased. Close the account once it is paid.",
        )
    except closing.Busy:
        return _page(
            request, problem="Another change is in progress, so nothing was erased. Try again in a moment."
        )
    except gateway.StripeError:
        return _page(
            request,
            problem="Stripe could not be reached, so it is not certain that nothing more is charged, and nothing was "
            "erased. Try again in a minute.",
        )
    if account.kind == Account.Kind.PERSONAL:
        logout(request)
    request.session["closed"] = reference
    return redirect("accounts:closed")


@require_safe
@never_cache
def closed(request: HttpRequest) -> HttpResponse:
    """The receipt's page; whoever comes without having closed anything is sent home."""
    reference = request.session.get("closed")
    if not reference:
        messages.info(request, "There is nothing here.")
        return redirect("/")
    return render(request, "accounts/closed.html", {"reference": reference})


def _only_owner_of(accounts: list[str]) -> str:
    return (
        f"You are the only owner of {', '.join(accounts)}. Make somebody else owner there, or close it first."
    )


def _bound_until(until: datetime) -> str:
    company = catalog.current().company
    return (
        f"A contract runs until {until:%-d %B %Y}, so closing the account has to wait. It can be closed from that "
        f"day on; to end the contract sooner, write to {company.sales_email or company.support_email}."
    )


def _waiting(account: Account) -> dict[str, object]:
    """What waits for a next invoice, in words: what is charged by closing, what is not, and what is a credit."""
    found = closing.waiting(account)
    if found is None:
        return {"waits_unknown": True}
    charges = [money.text(amount, code) for code, amount in sorted(found.sums.items()) if amount > 0]
    credits = [money.text(-amount, code) for code, amount in sorted(found.sums.items()) if amount < 0]
    return {
        "waits": " and ".join(charges),
        "waiting_credit": " and ".join(credits),
        "waits_uncharged": not found.is_charged,
    }


def _page(request: AccountRequest, *, problem: str = "") -> HttpResponse:
    account = request.account
    of = rights.of(request)
    left_alone = closing.without_owner(account=account, by=request.user)
    # What keeps the account from being closed is said beside what was wrong with the form.
    until = closing.bound_until(of.subscription)
    said = [
        problem,
        _only_owner_of(left_alone) if left_alone else "",
        _bound_until(until) if until is not None else "",
    ]
    context = {
        "problems": [words for words in dict.fromkeys(said) if words],
        "subscription": of.subscription,
        "bought": plan_name(of.subscription.plan_key) if of.subscription else "",
        "bound_until": until,
        **_waiting(account),
        "pays_by_use": of.pays_by_use,
        "offer": refund_window.offer_to(account, by=request.user, now=clock.now(account)),
        "open_invoice": closing.owed(account),
        "payments": account.payments.exists(),
        "waiting_withdrawals": erasing.undecided(account),
        "others": account.members.exclude(user=request.user).count(),
        "is_personal": account.kind == Account.Kind.PERSONAL,
    }
    return render(request, "accounts/close.html", context, status=422 if problem else 200)
