"""The way from one plan to another: a receipt with a button, what became of it, and the ways back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.decorators import billing_admin_required
from accounts.models import Account
from accounts.requests import AccountRequest
from billing import catalog, clock, notices, seats
from billing import rights as rights_of_request
from billing.catalog import Price
from billing.changes import (
    confirmation,
    downgrade,
    losses,
    membership,
    preview,
    telling,
    tokens,
    upgrade,
    wishes,
)
from billing.changes.refusals import ChangeRefused, NothingBought, NotYours, Stale
from billing.entitlements import Entitlements, facts_of
from billing.lifecycle import subscriptions
from billing.models import PlanChange, Subscription
from billing.stripe import gateway
from usage import metering
from usage.standing import gauges

BUSY = "Another change to this account's plan is in progress. Look at your plan, then try again."
UNREACHABLE = "Stripe could not be reached, so nothing was changed. Try again in a minute."
UNSURE = "Stripe did not answer in time. Your billing page will say in a minute whether the plan was changed."
# How often the waiting page looks by itself before it leaves that to the reader: 40 × 3 s.
PATIENCE = 40


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def review(request: AccountRequest) -> HttpResponse:
    """`?price=…&quantity=…` or `?seats=…` shows the receipt; its `token` posted makes the change."""
    return _confirm(request) if request.method == "POST" else _show(request)


@require_GET
@never_cache
@billing_admin_required
def outcome(request: AccountRequest, pk: int) -> HttpResponse:
    """What became of a confirmed change; while that is open, Stripe is asked first."""
    change = get_object_or_404(PlanChange, pk=pk, account=request.account)
    if change.state in (PlanChange.State.STARTED, PlanChange.State.WAITING):
        try:
            subscriptions.sync(
                account=request.account, reason="change", wait_seconds=subscriptions.PATIENCE_SECONDS
            )
        except gateway.StripeError:
            messages.info(request, "Stripe does not answer just now; this page looks again.")
        change.refresh_from_db()
    asked = request.GET.get("asked", "0")
    times = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 0
    is_open = change.state in (PlanChange.State.STARTED, PlanChange.State.WAITING)
    return render(
        request,
        "billing/change_outcome.html",
        {
            **_words(change),
            "change": change,
            "again": f"{request.path}?asked={times + 1}" if is_open and times < PATIENCE else "",
            "quiet_notice": True,
        },
    )


@require_POST
@never_cache
@billing_admin_required
def take_back(request: AccountRequest, pk: int) -> HttpResponse:
    """Undo what is planned for the period's end, or call off what waits for its payment."""
    account = request.account
    change = get_object_or_404(PlanChange, pk=pk, account=account)
    act = upgrade.call_off if change.state == PlanChange.State.WAITING else downgrade.undo
    try:
        act(account=account, change=change, now=clock.now(account))
    except subscriptions.NothingToChange as nothing:
        messages.info(request, str(nothing))
    except subscriptions.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        if change.state == PlanChange.State.DONE:
            messages.info(request, "The payment had just gone through: the change is made.")
        else:
            name = telling.plan_name(change.from_plan_key)
            messages.success(request, f"The change is taken back. {name} goes on as it is.")
    return redirect("billing:settings")


def _show(request: AccountRequest) -> HttpResponse:
    account, user = request.account, request.user
    try:
        price, quantity = _asked_for(request)
        receipt = preview.show(
            account=account,
            price=price,
            quantity=quantity,
            user=user,
            now=clock.now(account),
            wall=clock.wall(),
        )
    except NothingBought:
        messages.info(request, "There is no running plan to change. Choose one here.")
        return redirect("billing:pricing")
    except ChangeRefused as refusal:
        return _refused(request, refusal)
    except gateway.StripeError:
        messages.error(request, "Stripe could not be asked what the change costs. Try again in a minute.")
        return redirect("billing:settings")
    rights = rights_of_request.of(request)
    wish = receipt.wish
    differences = losses.of(
        before=wish.before, after=wish.plan, catalog=catalog.current(), used=_used(rights)
    )
    return render(
        request,
        "billing/change.html",
        {
            "receipt": receipt,
            "wish": wish,
            "sums": receipt.sums,
            "worse": [difference for difference in differences if difference.is_worse],
            "better": [difference for difference in differences if not difference.is_worse],
            "seats_taken": seats.taken(account, now=clock.wall()),
            "names": telling.ends(wish),
            **_planned(account),
            "minutes": int(tokens.GOOD_FOR.total_seconds() // 60),
        },
    )


def _confirm(request: AccountRequest) -> HttpResponse:
    account, token = request.account, request.POST.get("token", "")
    try:
        change = confirmation.confirm(
            account=account, user=request.user, token=token, now=clock.now(account), wall=clock.wall()
        )
    except NotYours:
        return render(request, "404.html", status=404)
    except Stale as stale:
        messages.warning(request, str(stale))
        return _again(request, token)
    except NothingBought:
        messages.info(request, "There is no running plan to change any more. Choose one here.")
        return redirect("billing:pricing")
    except ChangeRefused as refusal:
        return _refused(request, refusal)
    except subscriptions.Busy:
        messages.error(request, BUSY)
        return redirect("billing:settings")
    except gateway.StripeError as error:
        lost = getattr(error, "outcome_unknown", False)
        messages.error(request, UNSURE if lost else UNREACHABLE)
        return redirect("billing:settings")
    response = redirect("billing:change_outcome", pk=change.pk)
    response.status_code = 303
    return response


def _asked_for(request: HttpRequest) -> tuple[Price, int]:
    account: Account = request.account  # type: ignore[attr-defined]
    if "seats" in request.GET:
        number = _whole(request.GET["seats"])
        return wishes.for_seats(account=account, quantity=number, now=clock.now(account)), number
    price = catalog.current().find_price(request.GET.get("price", ""))
    if price is None:
        raise ChangeRefused("That price is not on sale. Choose a plan from the price list.")
    if "quantity" in request.GET:
        return price, _whole(request.GET["quantity"])
    return price, _first_quantity(request, price)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ChangeRefused("The number of seats must be a whole number.")
    return int(text)


def _first_quantity(request: HttpRequest, price: Price) -> int:
    """Seats to begin with: as many as are bought, or as there are people for, within what the plan is sold with."""
    account: Account = request.account  # type: ignore[attr-defined]
    bounds = catalog.current().plan(price.plan_key).seats
    if bounds is None or not price.per_seat:
        return 1
    if bounds.follow_members:
        return membership.wanted(account, catalog.current().plan(price.plan_key))
    now = clock.wall()
    number = max(bounds.min, seats.sold(account, now=now) or 0, seats.taken(account, now=now))
    return number if bounds.max is None else min(number, bounds.max)


def _used(rights: Entitlements) -> dict[str, int]:
    """What is in use: of what comes back, in the running period; of what stays, as it stands, without runs, which end
    by themselves.
    """
    account, now = rights.account, rights.now
    used = {balance.feature: balance.used for balance in metering.balances(account, now=now, rights=rights)}
    for feature in catalog.current().features.values():
        if feature.kind == "limit":
            used[feature.key] = gauges.state(account, feature.key, clock.wall()).kept
    if seats.MEMBERS in catalog.current().features:
        used[seats.MEMBERS] = seats.taken(account, now=clock.wall())
    return used


def _again(request: AccountRequest, token: str) -> HttpResponse:
    """Back to the receipt of the same wish, made anew."""
    promise, _ = tokens.unseal(token, account=request.account, user=request.user)
    query = urlencode([("price", promise.to_price), ("quantity", promise.to_quantity)])
    return redirect(f"{reverse('billing:change')}?{query}")


def _refused(request: AccountRequest, refusal: ChangeRefused) -> HttpResponse:
    rights = rights_of_request.of(request)
    waiting = PlanChange.objects.filter(account=request.account, state=PlanChange.State.WAITING).first()
    context: dict[str, Any] = {
        "refusal": refusal,
        "rights": rights,
        "subscription": rights.subscription,
        "owed": notices.owed_by(rights.subscription) if rights.subscription else "",
        "waiting": waiting,
        "support_email": catalog.current().company.support_email,
        "quiet_notice": True,
    }
    return render(request, "billing/change_refused.html", context, status=409)


def _words(change: PlanChange) -> dict[str, Any]:
    # Taken back in the moment in which this one was made.
    undone = PlanChange.objects.filter(
        account=change.account,
        state=PlanChange.State.UNDONE,
        is_later=True,
        finished_at=change.finished_at,
        created_at__lte=change.created_at,
    )
    gave_way = undone.order_by("-pk").first() if change.finished_at else None
    subscription = Subscription.objects.filter(stripe_subscription_id=change.stripe_subscription_id).first()
    is_over = subscription is None or not subscription.is_live
    ends = None if is_over or subscription is None else facts_of(subscription).ends_at
    return {
        "is_over": is_over,
        "ends": ends,
        "names": telling.names(change),
        "price": catalog.current().find_price(change.to_price),
        **_planned(change.account),
        "gave_way": gave_way,
        "gave_way_names": telling.names(gave_way) if gave_way else {},
    }


def _planned(account: Account) -> dict[str, Any]:
    """What waits for the period's end."""
    planned = PlanChange.objects.filter(account=account, state=PlanChange.State.SCHEDULED).first()
    return {"planned": planned, "planned_names": telling.names(planned) if planned else {}}
