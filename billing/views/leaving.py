"""The pages of leaving: cancel in two clicks, take the money back, withdraw from a contract without a log-in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.decorators import billing_admin_required
from accounts.models import Account, Member
from accounts.requests import AccountRequest
from billing import catalog, clock, money, pricing
from billing import rights as rights_of_request
from billing.changes import telling
from billing.forms import CancelForm, WithdrawForm
from billing.leaving import cancelling, pausing, refund_window, withdrawals
from billing.lifecycle import dispute_ends, subscriptions
from billing.models import PlanChange, Subscription
from billing.stripe import gateway
from billing.views import visitors
from billing.views.settings import BUSY, ON_HOLD, UNREACHABLE

# Declarations from one address of the network in an hour; more is a machine.
MOST_DECLARATIONS = 10
PAUSED = "The pause is set already. Nothing was changed."
ENDING = "Your plan is set to end already. Nothing was changed."
CONTRACT = "The contract says when the plan ends; only another contract changes that. Nothing was changed."


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def cancel(request: AccountRequest) -> HttpResponse:
    """Ask once, saying the last day and what stays; then cancel at the end of the paid time."""
    rights = rights_of_request.of(request)
    subscription = rights.subscription
    ends_for_dispute = subscription is not None and dispute_ends.is_why(subscription)
    if subscription is None or (subscription.is_canceling and not ends_for_dispute):
        messages.info(request, ENDING if subscription else "There is no running plan to cancel.")
        return redirect("billing:settings")
    if subscription.is_fixed_term:
        messages.info(request, CONTRACT)
        return redirect("billing:settings")
    last_day = _last_day(subscription)
    form = CancelForm(request.POST if request.method == "POST" else None)
    if request.method == "GET" or not form.is_valid():
        context = {
            "form": form,
            "rights": rights,
            "subscription": subscription,
            **_goes_with_it(request.account),
            "ends_for_dispute": ends_for_dispute,
            "bought": plan_name(subscription),
            "last_day": last_day,
            "free": catalog.current().default_plan,
            "offer": refund_window.offer_to(request.account, by=request.user, now=clock.now(request.account)),
            "pause": pausing.offer_to(request.account),
        }
        return render(request, "billing/cancel.html", context, status=422 if form.errors else 200)
    goes_with_it = _goes_with_it(request.account)
    try:
        cancelling.cancel(account=request.account, by=request.user, **form.cleaned_data)
    except cancelling.NothingToChange:
        messages.info(request, "There is no running plan to cancel.")
    except cancelling.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        after = (
            "what you used until then is charged on that day"
            if rights.pays_by_use
            else "nothing is charged for the time after"
        )
        # As it is now: a change that was paid in this moment may have another last day.
        last_day = _last_day(Subscription.objects.get(pk=subscription.pk)) or last_day
        until = f"It runs until {last_day:%-d %B %Y}" if last_day else "It runs until its last day"
        messages.success(request, f"Your plan is canceled. {until}; {after}.{_became_of(goes_with_it)}")
    return redirect("billing:settings")


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def pause(request: AccountRequest) -> HttpResponse:
    """Say from when to when nothing is charged and nothing is had; then pause."""
    offer = pausing.offer_to(request.account)
    if offer is None:
        standing = rights_of_request.of(request).standing
        is_set = standing is not None and standing.reason in ("pausing", "on_pause")
        messages.info(request, PAUSED if is_set else "This plan cannot be paused now.")
        return redirect("billing:settings")
    chosen = request.POST.get("months", "")
    months = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 3 else 0
    if request.method == "GET" or months not in offer.ends:
        subscription = Subscription.objects.live().get(account=request.account)
        context = {
            "offer": offer,
            "bought": plan_name(subscription),
            "price": pricing.price_of(subscription),
            "free": catalog.current().default_plan,
            "is_unclear": request.method == "POST",
            **_goes_with_it(request.account),
        }
        return render(request, "billing/pause.html", context, status=422 if request.method == "POST" else 200)
    goes_with_it = _goes_with_it(request.account)
    try:
        offer = pausing.pause(account=request.account, months=months)
    except pausing.NothingToChange:
        messages.info(request, "This plan cannot be paused now.")
    except pausing.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(
            request,
            f"Your plan pauses on {offer.starts_at:%-d %B %Y} and goes on by itself on "
            f"{offer.ends[months]:%-d %B %Y}. Nothing is charged in between.{_became_of(goes_with_it)}",
        )
    return redirect("billing:settings")


@require_http_methods(["POST"])
@never_cache
@billing_admin_required
def go_on(request: AccountRequest) -> HttpResponse:
    """End a pause: for nothing before it begins, else by paying for a month that begins now."""
    try:
        pausing.go_on(account=request.account)
    except subscriptions.OnHold:
        messages.error(request, ON_HOLD)
    except pausing.NothingToChange:
        messages.info(request, "There is no pause to end.")
    except pausing.Busy:
        messages.error(request, BUSY)
    except gateway.CardDeclined as refusal:
        messages.error(request, f"{refusal} The pause stays as it is. Change the card, then try again.")
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(request, "Your plan goes on.")
    return redirect("billing:settings")


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def money_back(request: AccountRequest) -> HttpResponse:
    """Show what would be given back and what ends with it; then do it."""
    account = request.account
    offer = refund_window.offer_to(account, by=request.user, now=clock.now(account))
    given = refund_window.given_to(account) if offer is None else None
    if request.method == "POST" and given is not None:
        messages.info(request, _given_already(given))
        return redirect("billing:settings")
    if request.method == "GET" or offer is None:
        context = {
            "offer": offer,
            "given": given,
            "bought": plan_name(offer.subscription) if offer else "",
            "free": catalog.current().default_plan,
            "support": catalog.current().company.support_email,
        }
        return render(request, "billing/money_back.html", context, status=200 if offer else 404)
    try:
        taken = refund_window.take_back(account=account, by=request.user)
    except refund_window.Closed as closed:
        # The first press of two was served meanwhile, or the days ran out while the page was open.
        given = refund_window.given_to(account)
        messages.info(request, _given_already(given)) if given else messages.error(request, str(closed))
    except refund_window.Busy:
        messages.error(request, BUSY)
    except gateway.InvalidRequest as refusal:
        messages.error(
            request,
            f"Stripe would not give the money back, so your plan goes on: “{refusal}” Write to "
            f"{catalog.current().company.support_email}, and a person will see to it.",
        )
    except gateway.StripeError:
        messages.error(
            request,
            "Stripe did not answer, so it is not certain what was done. This page shows it in a minute.",
        )
    else:
        messages.success(
            request,
            f"{money.text(taken.amount, taken.currency)} is on its way back to your card, and the plan is over. "
            "Banks take 5 to 10 days to show it.",
        )
    return redirect("billing:settings")


@require_http_methods(["GET", "POST"])
@never_cache
def withdraw(request: HttpRequest) -> HttpResponse:
    """Declare a withdrawal from a contract; nobody need be logged in, and the answer never tells who is a customer."""
    form = WithdrawForm(request.POST if request.method == "POST" else None, initial=_what_is_known(request))
    if request.method == "POST" and form.is_valid():
        if visitors.is_too_often(request, "withdrawals", most=MOST_DECLARATIONS):
            form.add_error(
                None, "Too many declarations came from here. Try again in an hour, or write to us."
            )
        else:
            withdrawal = withdrawals.declare(
                name=form.cleaned_data["name"],
                email=form.cleaned_data["email"],
                contract=form.cleaned_data["contract"],
                account=_proven_account(request),
                now=clock.wall(),
            )
            request.session["withdrawal"] = withdrawal.reference
            return redirect("billing:withdrawn")
    offer = None
    account = _proven_account(request)
    if account is not None and request.user.is_authenticated:
        offer = refund_window.offer_to(account, by=request.user, now=clock.now(account))
    context = {"form": form, "offer": offer, "support": catalog.current().company.support_email}
    return render(request, "billing/withdraw.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET"])
@never_cache
def withdrawn(request: HttpRequest) -> HttpResponse:
    """What happens next, with the reference to quote."""
    return render(request, "billing/withdrawn.html", {"reference": request.session.get("withdrawal", "")})


def plan_name(subscription: Subscription) -> str:
    plan = catalog.current().plans.get(subscription.plan_key)
    return plan.name if plan else subscription.plan_key


def _last_day(subscription: Subscription) -> datetime | None:
    return subscription.trial_end if subscription.status == "trialing" else subscription.current_period_end


def _goes_with_it(account: Account) -> dict[str, Any]:
    """The changes under way that a cancellation or a pause calls off."""
    changes = PlanChange.objects.filter(account=account)
    waits = changes.filter(state=PlanChange.State.WAITING).first()
    planned = changes.planned().first()
    return {
        "waits": waits,
        "called_off": telling.names(waits) if waits else None,
        "planned": planned,
        "taken_back": telling.names(planned) if planned else None,
    }


def _became_of(found: dict[str, Any]) -> str:
    """What was done with them, in words, as they are after the act: it may have come too late, or not got so far."""
    said = ""
    for change in (found["waits"], found["planned"]):
        if change is None:
            continue
        change.refresh_from_db()
        name = telling.names(change)["after"]
        if change.state in (PlanChange.State.UNDONE, PlanChange.State.FAILED):
            said += f" The change to {name} is off."
        elif change.state == PlanChange.State.DONE:
            said += f" The payment for the change to {name} had just gone through: it is made."
        elif not change.is_later:
            said += f" The change to {name} could not be called off yet: do not confirm its payment."
    return said


def _given_already(given: refund_window.Given) -> str:
    return (
        f"{money.text(given.amount, given.currency)} went back to your card on {given.at:%-d %B %Y}, once. "
        "Banks take 5 to 10 days to show it."
    )


def _what_is_known(request: HttpRequest) -> dict[str, str]:
    if not request.user.is_authenticated:
        return {}
    return {"name": request.user.name, "email": request.user.email}


def _proven_account(request: HttpRequest) -> Account | None:
    """The account a log-in speaks for; without one, words are only words."""
    member: Member | None = getattr(request, "member", None)
    return member.account if member is not None and member.may_bill else None
