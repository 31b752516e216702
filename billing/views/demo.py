"""The demo's clock: jump a day, a week or a month, so that a year of billing is seen in a minute."""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.formats import date_format
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.decorators import account_required
from accounts.requests import AccountRequest
from billing import clock
from billing.lifecycle import jumps, lease
from billing.stripe import gateway
from usage import meters, periods

# Stripe finalizes and charges a renewal about an hour after the period ends; a jump that lands on the hour would
# show an invoice that is still a draft.
SETTLING = timedelta(hours=2)


@require_POST
@account_required
def fast_forward(request: AccountRequest) -> HttpResponse:
    """Move this account's test clock. Only in the demo, only for the account at hand."""
    if not settings.DEMO:
        raise Http404
    account = request.account
    now = clock.now(account)
    steps = {
        "day": now + timedelta(days=1),
        "week": now + timedelta(days=7),
        "month": periods.containing(now=now, per="month", anchor=now).end + SETTLING,
    }
    to = steps.get(request.POST.get("step", ""))
    if to is None:
        raise Http404
    try:
        # What was used before the jump is billed before it: beat's next turn would come after.
        meters.deliver(now=clock.wall())
        jumps.advance(account=account, to=to)
    except (lease.LeaseTaken, jumps.BackwardsInTime, jumps.ClockStuck):
        messages.error(request, "The clock is still moving. Try again in a moment.")
    except jumps.NotOnAClock:
        messages.error(
            request, "This account lives in real time: it became a customer before the demo's clocks."
        )
    except gateway.StripeError:
        messages.error(
            request, "The clock did not move: the simulator did not answer. Try again in a moment."
        )
    else:
        messages.info(request, f"It is now {date_format(clock.now(account), 'j F Y, H:i')} for this account.")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = "/billing/"
    return redirect(back)
