"""The button that starts a plan whose trial ended without a card."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.decorators import billing_admin_required
from accounts.requests import AccountRequest
from billing.lifecycle import trial_ends
from billing.models import Subscription
from billing.stripe import gateway
from billing.views.settings import BUSY, UNREACHABLE


@require_POST
@never_cache
@billing_admin_required
def start(request: AccountRequest) -> HttpResponse:
    """Begin to pay for it; a card that is refused is said by the notice of the page it leads to."""
    try:
        trial_ends.start(account=request.account)
    except trial_ends.NothingToChange:
        messages.info(request, "There is no plan that waits to be started.")
    except trial_ends.NoCard as refusal:
        messages.error(request, str(refusal))
    except trial_ends.Busy:
        messages.error(request, BUSY)
    except gateway.StripeError:
        messages.error(request, UNREACHABLE)
    else:
        if Subscription.objects.live().filter(account=request.account, status="active").exists():
            messages.success(request, "Your plan has started.")
        else:
            messages.info(request, "The plan starts with its first payment, which is being taken.")
    return redirect("billing:settings")
