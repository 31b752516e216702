"""Billing settings: what the account has, what it will pay and when, and the buttons that change it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import members
from accounts.decorators import account_required, billing_admin_required
from accounts.models import Account, Member
from accounts.requests import AccountRequest
from billing import bought, catalog, notices, pricing
from billing import rights as rights_of_request
from billing.changes import telling
from billing.entitlements import Entitlements
from billing.lifecycle import checkout, dispute_ends, open_invoices, subscriptions
from billing.models import Customer, Payment, PlanChange, Subscription
from billing.price_rises import coming
from billing.stripe import gateway
from billing.views import payments

BUSY = "Another change to this account's plan is in progress. Try again in a moment."
ON_HOLD = "This account is on hold, so its plan cannot go on. Write to us and we will sort it out."
UNREACHABLE = "Stripe could not be reached, so nothing was changed. Try again in a minute."
PAYMENTS_SHOWN = 24


@require_GET
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """The plan, its status, the next charge, the card and the payments. Members see it without money or buttons."""
    account = request.account
    if request.member.may_bill:
        _look_at_open_invoices(request)
    rights = rights_of_request.of(request)
    subscription = rights.subscription
    ended = _ended(account) if subscription is None else None
    customer = Customer.objects.filter(account=account).first()
    rise = coming.rise_of(subscription, now=rights.now) if subscription else None
    before = dispute_ends.planned_before(subscription, now=rights.now) if subscription else None
    return render(
        request,
        "billing/settings.html",
        {
            "rights": rights,
            "ended": ended,
            "ends_for_dispute": _ends_for_dispute(subscription or ended),
            "planned_before": before,
            "planned_before_names": telling.names(before) if before else {},
            "ended_plan": catalog.current().plans.get(ended.plan_key) if ended else None,
            "ended_owing": ended is not None and _owes(ended),
            "subscription": subscription,
            "price": pricing.price_of(subscription) if subscription else None,
            "terms": bought.terms(subscription) if subscription else "",
            "owed": notices.owed_by(subscription) if subscription else "",
            "rise": rise,
            "next_charge": coming.next_charge(subscription, rise=rise) if subscription else None,
            "bought": catalog.current().plans.get(subscription.plan_key) if subscription else None,
            "customer": customer,
            "card_runs_out": subscription is not None and _runs_out(customer, before=subscription),
            "may_bill": request.member.may_bill,
            # The invoice of a change is not a failed payment while the bank waits for the customer.
            "waiting": PlanChange.objects.filter(account=account, state=PlanChange.State.WAITING).first(),
            "people": []
            if request.member.may_bill
            else members.names_of(account, roles=Member.BILLING_ROLES),
            "may_end_now": _is_off(rights) and not _is_by_contract(rights),
            "ends": subscription.cancel_at or subscription.current_period_end if subscription else None,
            **(_payments(request) if request.member.may_bill else {}),
        },
    )


def _look_at_open_invoices(request: AccountRequest) -> None:
    """Before anything is read of the account: Stripe's page for an invoice sends nobody back here by itself."""
    try:
        is_known = open_invoices.look_again(account=request.account)
    except gateway.StripeError:
        messages.info(
            request, "Stripe does not answer just now; a payment made a moment ago shows here later."
        )
    else:
        if not is_known:
            messages.info(request, "Stripe is telling us of a payment; this takes a few seconds.")


def _payments(request: AccountRequest) -> dict[str, object]:
    """The newest of the payments that are looked for, and what can be looked for."""
    sought = payments.wanted(request)
    found = list(payments.matching(request.account, sought)[: PAYMENTS_SHOWN + 1])
    return {
        "payments": found[:PAYMENTS_SHOWN],
        "are_more": len(found) > PAYMENTS_SHOWN,
        "most": PAYMENTS_SHOWN,
        "sought": sought,
        "years": payments.years(request.account),
        "states": [(key, name) for key, (name, _) in payments.STATES.items()],
    }


def _ended(account: Account) -> Subscription | None:
    """The last subscription that is over, so that the page can say why nothing is left of it."""
    over = Subscription.objects.filter(account=account, is_live=False, ended_at__isnull=False)
    return over.exclude(status="incomplete_expired").order_by("-ended_at").first()


def _ends_for_dispute(subscription: Subscription | None) -> bool:
    return subscription is not None and dispute_ends.is_why(subscription)


def _runs_out(customer: Customer | None, *, before: Subscription) -> bool:
    """Whether the card is not valid any more when the next charge comes."""
    end = customer.card_ends_at if customer is not None else None
    return (
        end is not None
        and before.collection_method == "charge_automatically"
        and not before.is_canceling
        and before.current_period_end is not None
        and end <= before.current_period_end
    )


def _owes(subscription: Subscription) -> bool:
    unpaid = Payment.objects.filter(
        stripe_subscription_id=subscription.stripe_subscription_id, status__in=["open", "uncollectible"]
    )
    return unpaid.filter(amount_due__gt=0).exists()


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def end_now(request: AccountRequest) -> HttpResponse:
    """Ask once, then end at once a plan that is off because it is not paid, so that another can be chosen."""
    account = request.account
    rights = rights_of_request.of(request)
    if rights.subscription is None or not _is_off(rights):
        messages.info(request, "There is no plan that waits to be ended.")
        return redirect("billing:settings")
    if _is_by_contract(rights):
        messages.info(request, "The contract says when the plan ends; only another contract changes that.")
        return redirect("billing:settings")
    if request.method == "GET":
        plan_name = _plan_name(rights.subscription)
        return render(request, "billing/end_now.html", {"rights": rights, "bought": plan_name})
    try:
        subscriptions.cancel_now(account=account)
    except subscriptions.NothingToChange:
        messages.info(request, "There is no plan that waits to be ended.")
    except subscriptions.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        another = "" if rights.is_blocked else " You can choose another one at once."
        messages.success(request, f"Your plan is over.{another}")
    return redirect("billing:settings")


@require_POST
@never_cache
@billing_admin_required
def resume(request: AccountRequest) -> HttpResponse:
    """Take a cancellation back while the plan still runs."""
    try:
        subscriptions.resume(account=request.account)
    except subscriptions.OnHold:
        messages.error(request, ON_HOLD)
    except subscriptions.NothingToChange:
        messages.info(request, "There is no cancellation to take back.")
    except subscriptions.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        messages.success(request, "Your plan goes on. The next charge is as before.")
    return redirect("billing:settings")


@require_POST
@never_cache
@billing_admin_required
def portal(request: AccountRequest) -> HttpResponse:
    """Send the browser to Stripe's portal: cards, invoices, cancel. The link is a key and is never kept or logged."""
    flow = "payment_method_update" if request.POST.get("flow") == "payment_method_update" else None
    try:
        url = checkout.open_portal(
            account=request.account,
            return_path="/billing/returned/",
            flow=flow,
        )
    except checkout.Busy:
        messages.error(request, BUSY)
        return redirect("billing:settings")
    except gateway.StripeError:
        messages.error(request, "Stripe's page could not be opened. Try again in a minute.")
        return redirect("billing:settings")
    response = redirect(url)
    response.status_code = 303
    return response


@require_GET
@never_cache
@billing_admin_required
def returned(request: AccountRequest) -> HttpResponse:
    """Back from the portal: ask Stripe what changed there before showing the settings again."""
    try:
        subscriptions.sync(
            account=request.account,
            reason="portal_return",
            wait_seconds=subscriptions.PATIENCE_SECONDS,
        )
    except gateway.StripeError:
        messages.info(request, "What you changed at Stripe will show here in a moment.")
    return redirect("billing:settings")


def _is_off(rights: Entitlements) -> bool:
    """Whether a subscription gives nothing any more and yet stands in the way of another one."""
    return rights.standing is not None and rights.standing.reason in ("past_due", "unpaid", "paused")


def _is_by_contract(rights: Entitlements) -> bool:
    """Nobody leaves a contract before its day by not paying it."""
    return rights.subscription is not None and rights.subscription.is_fixed_term


def _plan_name(subscription: Subscription) -> str:
    plan = catalog.current().plans.get(subscription.plan_key)
    return plan.name if plan else subscription.plan_key
