"""Promotion codes: the page where one is typed and its worth shown, and the link that brings one along."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts.decorators import billing_admin_required
from accounts.requests import AccountRequest
from billing import clock
from billing.deals import codes
from billing.models import Subscription
from billing.stripe import gateway
from billing.views import visitors
from billing.views.settings import BUSY, UNREACHABLE

# In the session: the code somebody came with, until they buy.
CARRIED = "promotion_code"
# From one address within an hour: more is guessing.
MOST_TRIES = 30
TOO_OFTEN = "Too many codes were tried from here. Try again in an hour."


@require_GET
@never_cache
def bring(request: HttpRequest, code: str) -> HttpResponse:
    """A link with a code in it: say what it is worth and take it along to the payment page."""
    try:
        found = _found(request, code)
    except codes.CodeRefused as refusal:
        messages.error(request, str(refusal))
    except gateway.StripeError:
        messages.error(request, "The code could not be looked at. Open the link again in a minute.")
    else:
        request.session[CARRIED] = found.code
        messages.success(request, f"{found.words}: it is taken off on the payment page.")
    return redirect("billing:pricing")


@require_http_methods(["GET", "POST"])
@never_cache
@billing_admin_required
def use(request: AccountRequest) -> HttpResponse:
    """`?code=…` shows what the code does to the next charge; the button under it does it."""
    typed = request.POST.get("code", "") or request.GET.get("code", "")
    effect, refused = None, ""
    if typed:
        try:
            found = _found(request, typed)
            if request.method == "POST":
                codes.use(account=request.account, code=found)
                messages.success(request, f"{found.words}. The next charge below has it taken off.")
                return redirect("billing:settings")
            effect = codes.effect(account=request.account, code=found)
        except codes.CodeRefused as refusal:
            refused = str(refusal)
        except codes.Busy:
            refused = BUSY
        except gateway.StripeError:
            refused = UNREACHABLE
    has_plan = Subscription.objects.live().filter(account=request.account).exists()
    context = {"typed": typed[:100], "effect": effect, "refused": refused, "has_plan": has_plan}
    return render(request, "billing/code.html", context, status=422 if refused else 200)


def _found(request: HttpRequest, code: str) -> codes.Code:
    if visitors.is_too_often(request, "codes", most=MOST_TRIES):
        raise codes.CodeRefused(TOO_OFTEN)
    account = getattr(request, "account", None)
    now = clock.now(account) if account is not None else clock.wall()
    return codes.find(code=code, account=account, now=now)
