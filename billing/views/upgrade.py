"""The way to the till and back: the button, the page that waits for the truth, the one where nothing changed."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.decorators import billing_admin_required
from accounts.requests import AccountRequest
from billing import catalog, clock, entitlements, money, pricing
from billing.access import Level
from billing.deals import codes
from billing.lifecycle import checkout, trials
from billing.models import Customer
from billing.stripe import gateway
from billing.views.codes import CARRIED

# How often the waiting page asks again before it says that we will tell them: 20 × 3 s.
PATIENCE = 20

TRIAL_HAD = (
    "{} had a trial with another account, so the plan was not started and nothing was charged. You can choose it again "
    "and start at once with the full price."
)
WHO_HAD_IT = {"card": "This card has", "buyer": "You have"}


@require_POST
@never_cache
@billing_admin_required
def upgrade(request: AccountRequest) -> HttpResponse:
    """Start a checkout for the posted `price` (a lookup key) and `quantity`, and send the browser to Stripe's page."""
    account = request.account
    price = catalog.current().find_price(request.POST.get("price", ""))
    quantity = request.POST.get("quantity", "1")
    if price is None:
        return _back(request, "That price is not on sale. Choose one from this page.")
    if not quantity.isascii() or not quantity.isdigit() or len(quantity) > 6:
        return _back(request, "The number of seats must be a whole number.")
    try:
        carried = _carried_code(request)
        intent = checkout.start(
            account=account,
            price=price,
            quantity=int(quantity),
            user=request.user,
            now=clock.now(account),
            promotion_code=carried,
            currency=request.POST.get("currency", ""),
        )
    except codes.CodeRefused as refusal:
        del request.session[CARRIED]
        return _back(request, f"{refusal} Nothing was charged; choose again to go on without it.")
    except checkout.AlreadySubscribed:
        messages.info(request, "You already have a plan. Change it here; nothing was charged.")
        return redirect("billing:settings")
    except (checkout.NotForSale, checkout.BadQuantity, checkout.WrongAudience) as refusal:
        return _back(request, str(refusal))
    except checkout.Busy:
        return _back(request, "Another change to this account's plan is in progress. Try again in a moment.")
    except gateway.StripeError:
        return _back(
            request, "The payment page could not be opened and nothing was charged. Try again in a minute."
        )
    response = redirect(intent.url)
    response.status_code = 303
    return response


@require_GET
@never_cache
@billing_admin_required
def upgraded(request: AccountRequest) -> HttpResponse:
    """Where Stripe sends the browser after paying. Says "you have it" once it is so, and never before."""
    account = request.account
    session_id = request.GET.get("session_id", "")
    if not session_id:
        return redirect("billing:settings")  # somebody who comes back to this page by hand
    asked = int(tries) if (tries := request.GET.get("asked", "0")).isdigit() and len(tries) < 4 else 0
    try:
        outcome = checkout.complete(account=account, session_id=session_id)
    except checkout.NotYours:
        return render(request, "404.html", status=404)
    except gateway.StripeError:
        outcome = checkout.Outcome.PENDING  # Stripe's letter will bring the truth; the page asks again
    rights = entitlements.of(account, now=clock.now(account))
    context: dict[str, Any] = {"rights": rights, "quiet_notice": True}
    if rights.level >= Level.GRACE and rights.subscription is not None and outcome != checkout.Outcome.UNPAID:
        request.session.pop(CARRIED, None)
        price = pricing.price_of(rights.subscription)
        period = money.period_phrase(price) if price else "period"
        has_card = Customer.objects.filter(account=account).exclude(card_last4="").exists()
        return render(request, "billing/upgraded.html", {**context, "period": period, "has_card": has_card})
    if rights.subscription is None and (refused := trials.was_refused(account)):
        return _back(request, TRIAL_HAD.format(WHO_HAD_IT[refused]))
    if outcome == checkout.Outcome.UNPAID:
        return render(request, "billing/upgrade_unpaid.html", context)
    again = f"{reverse('billing:upgraded')}?session_id={session_id}&asked={asked + 1}"
    return render(
        request,
        "billing/upgrade_waiting.html",
        {**context, "again": again if asked < PATIENCE else "", "asked": asked},
    )


@require_GET
@billing_admin_required
def canceled(request: AccountRequest) -> HttpResponse:
    """Where Stripe sends a browser that turned back at the till."""
    return render(request, "billing/upgrade_canceled.html", {"quiet_notice": True})


def _carried_code(request: AccountRequest) -> str:
    """Stripe's id of the code somebody came with by a link. Raises CodeRefused and the gateway's errors."""
    carried = request.session.get(CARRIED, "")
    if not carried:
        return ""
    return codes.find(code=carried, account=request.account, now=clock.now(request.account)).stripe_id


def _back(request: AccountRequest, reason: str) -> HttpResponse:
    messages.error(request, reason)
    return redirect("billing:pricing")
