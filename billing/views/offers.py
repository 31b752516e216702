"""An offer by its link: what is agreed, the button that accepts it, and what came of it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing import clock, entitlements
from billing.deals import accepting, agreed, offers
from billing.forms import AcceptForm
from billing.models import Offer, Subscription
from billing.stripe import gateway

# The link is a key, so no other site hears of it. With "no-referrer" the browser would hide from us too where the form
# was sent from, which the check against forged requests refuses.
HIDDEN = {"Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex, nofollow"}


@require_http_methods(["GET", "POST"])
@never_cache
def offer(request: HttpRequest, token: str) -> HttpResponse:
    """Read what is offered and accept it. The link is the right to do so: nobody need be logged in."""
    try:
        found = offers.find(token)
    except offers.NoSuchOffer:
        return render(request, "404.html", status=404)
    now = clock.now(found.account)
    form = AcceptForm(request.POST if request.method == "POST" else None, initial=_what_is_known(request))
    if request.method == "POST" and form.is_valid():
        try:
            accepting.accept(
                offer=found, name=form.cleaned_data["name"], email=form.cleaned_data["email"], now=now
            )
        except accepting.CannotAccept as refusal:
            form.add_error(None, str(refusal))
        except accepting.Busy:
            form.add_error(
                None, "Another change to this account's plan is in progress. Try again in a moment."
            )
        except gateway.StripeError:
            form.add_error(
                None,
                "Stripe did not answer. Press the button again in a minute: it is accepted once, however often.",
            )
        else:
            messages.success(request, "It is agreed. The invoice comes by e-mail and is on this page.")
            return redirect("billing:offer", token=token)
    subscription = Subscription.objects.filter(offer=found).order_by("-is_live", "-started_at").first()
    context = {
        **offers.words(found),
        "form": form,
        "is_open": found.is_open(now),
        "is_accepted": found.state == Offer.State.ACCEPTED,
        "ends": found.until or agreed.ends_at(found, now),
        "subscription": subscription,
        "is_replaced": Subscription.objects.filter(
            account=found.account, stripe_subscription_id=found.stripe_subscription_id
        ).exists(),
        "standing": _standing(found, subscription),
        "quiet_notice": True,
    }
    response = render(request, "billing/offer.html", context, status=422 if form.errors else 200)
    for name, value in HIDDEN.items():
        response[name] = value
    return response


def _standing(found: Offer, subscription: Subscription | None) -> str:
    """One of access's reasons, such as "past_due_in_grace"; empty where nothing has come of the offer yet."""
    if subscription is None:
        return ""
    if not subscription.is_live:
        return "canceled"
    rights = entitlements.of(found.account, now=clock.now(found.account))
    return rights.standing.reason if rights.standing else ""


def _what_is_known(request: HttpRequest) -> dict[str, str]:
    if not request.user.is_authenticated:
        return {}
    return {"name": request.user.name, "email": request.user.email}
