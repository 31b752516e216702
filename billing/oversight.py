"""What the access table cannot settle from Stripe's words alone: staff are told, as the notice on the page says."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.models import Account
from billing import access, alerts, entitlements
from billing.models import Subscription

WORDS = {
    "renewal_unseen": "its paid period is over and Stripe shows no renewal, so the plan is off",
    "trial_ended": "its trial is over and Stripe has neither charged nor ended it, so the plan is off",
    "unknown_status": "we do not know that status, so the plan is off",
}


def tell(account: Account, *, now: datetime) -> None:
    """Raise an alert when a person must look at the account's access. `now` is the account's time."""
    rights = entitlements.of(account, now=now)
    bought = rights.subscription
    if not rights.decision.needs_staff or bought is None:
        return
    what = WORDS.get(rights.reason, "we do not know that status; the plan stays on for a day")
    alerts.raise_alert(
        key=f"access:{bought.stripe_subscription_id}:{rights.reason}",
        kind="access_unclear",
        message=f"Subscription {bought.stripe_subscription_id} of {account} is {bought.status!r} at Stripe: {what}. "
        "Look at it in the Stripe Dashboard; whatever is changed there arrives here by itself.",
        account=account,
        now=now,
    )


def doubtful(*, now: datetime) -> QuerySet[Subscription]:
    """Live subscriptions whose time ran out without a word, or whose status is new to us. `now` is wall time;
    who lives on a test clock is judged by that.
    """
    return (
        Subscription.objects.live()
        .annotate(at=Coalesce("account__customer__clock_now", Value(now)))
        .filter(
            Q(status="active", current_period_end__lte=F("at") - access.LATE_NEWS)
            | Q(status="trialing", trial_end__lte=F("at") - access.LATE_NEWS)
            | ~Q(status__in=access.KNOWN)
        )
        .select_related("account")
        # By chance, so that accounts which cannot be synced do not always come first.
        .order_by("?")
    )
