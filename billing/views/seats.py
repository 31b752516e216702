"""Seats: how many are bought, who has one, and the way to more or fewer, with its receipt first."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.decorators import billing_admin_required
from accounts.requests import AccountRequest
from billing import catalog, clock, pricing, seats
from billing import rights as rights_of_request


@require_GET
@never_cache
@billing_admin_required
def overview(request: AccountRequest) -> HttpResponse:
    """Only for a plan that is sold by the seat; the number asked for is shown on the page of a change."""
    rights = rights_of_request.of(request)
    subscription = rights.subscription
    price = pricing.price_of(subscription) if subscription else None
    plan = catalog.current().plans.get(subscription.plan_key) if subscription else None
    if subscription is not None and subscription.offer is not None and subscription.offer.seats > 1:
        number = f"{subscription.quantity:,} seats"
        messages.info(request, f"Your contract is for {number}. Talk to us about it to change that.")
        return redirect("billing:settings")
    if subscription is None or price is None or plan is None or plan.seats is None or not price.per_seat:
        messages.info(request, "Your plan is not sold by the seat. These are the plans.")
        return redirect("billing:pricing")
    wall = clock.wall()
    return render(
        request,
        "billing/seats.html",
        {
            "rights": rights,
            "subscription": subscription,
            "plan": plan,
            "price": price,
            "standing": seats.standing(request.account, now=wall),
            "holders": seats.holders(request.account, now=wall),
            "guests": request.account.members.filter(role="guest").count(),
            "larger": catalog.current().for_seats(plan.seats.ladder, plan.seats.max + 1)
            if plan.seats.ladder and plan.seats.max
            else None,
            "may_change": rights.standing is not None and rights.standing.level == 3,
        },
    )
