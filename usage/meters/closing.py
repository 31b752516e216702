"""Before an invoice is made of it, what was used is at Stripe: when it says so, at a period's end, before changes."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.models import Account
from billing import alerts
from billing.models import Subscription
from billing.models.subscriptions import SubscriptionItem
from billing.stripe import gateway
from usage.meters import periods, sending
from usage.models import MeterDelivery, MeterEvent

log = structlog.get_logger(__name__)

# From how long before a period's end, and until when after it, its usage waits for no pause.
BEFORE = timedelta(minutes=10)
# When that much of the draft's hour is over, a person is told.
LATE = timedelta(minutes=40)
# A sweep ends here, well before Celery's soft time limit would stop it in the middle.
SWEEP_SECONDS = 40.0


def before_change(account: Account, *, now: datetime) -> None:
    """Bring all of the account's use to Stripe, because something is about to bill or end it. `now` is wall time.

    Raises gateway.StripeUnavailable when some of it could not be sent.
    """
    left = sending.flush(account=account, now=now)
    if left:
        raise gateway.StripeUnavailable(
            f"{left:,} units that were used could not be reported to Stripe just now."
        )


def before_invoice(account: Account, *, now: datetime) -> None:
    """Stripe is about to make an invoice, or has drafted one: send what waits. What fails is tried again soon."""
    left = sending.flush(account=account, now=now)
    if left:
        log.warning("meter_units_left_before_invoice", account=str(account.pk), units=left)


def sweep(*, now: datetime, seconds: float = SWEEP_SECONDS) -> int:
    """Send what waits of accounts whose period ends about now; answers how many accounts were seen to.

    `now` is wall time; who lives on a test clock is judged by that. What is still not sent with little of the draft's
    hour left is told to staff.
    """
    started = time.monotonic()
    seen_to = 0
    for subscription in _closing(now):
        if gateway.is_resting() or time.monotonic() - started >= seconds:
            break
        left = sending.flush(
            account=subscription.account, now=now + timedelta(seconds=time.monotonic() - started)
        )
        seen_to += left == 0
    for subscription in _closing(now).filter(_ended_before(LATE)):
        _tell(subscription, now=now)
    return seen_to


def _closing(now: datetime) -> QuerySet[Subscription]:
    """Subscriptions with a metered period that ends or has just ended, and units that wait; in chance order.

    A period that ended may have been renewed in our rows already, or not: so both its ends are looked at.
    """
    mine = {"account_id": OuterRef("account_id")}
    waiting = Q(Exists(MeterEvent.objects.filter(**mine, state=MeterEvent.State.WAITING))) | Q(
        Exists(MeterDelivery.objects.waiting().filter(**mine))
    )
    metered = SubscriptionItem.objects.filter(subscription=OuterRef("pk"), is_metered=True)
    return (
        Subscription.objects.filter(waiting)
        .annotate(
            at=Coalesce("account__customer__clock_now", Value(now)),
            begun_at=metered.order_by("-current_period_start").values("current_period_start")[:1],
            ends_at=metered.order_by("current_period_end").values("current_period_end")[:1],
        )
        .filter(
            Q(ends_at__lte=F("at") + BEFORE, ends_at__gt=F("at") - periods.DRAFT, is_live=True)
            | Q(begun_at__lte=F("at"), begun_at__gt=F("at") - periods.DRAFT, is_live=True)
            | Q(ended_at__lte=F("at"), ended_at__gt=F("at") - periods.DRAFT)
        )
        .select_related("account")
        .order_by("?")
    )


def _ended_before(age: timedelta) -> Q:
    return (
        Q(ends_at__lte=F("at") - age)
        | Q(begun_at__lte=F("at") - age, begun_at__gt=F("at") - periods.DRAFT)
        | Q(ended_at__lte=F("at") - age)
    )


def _tell(subscription: Subscription, *, now: datetime) -> None:
    units = sending.waits(subscription.account)
    if not units:
        return
    alerts.raise_alert(
        key=f"meter_units_late:{subscription.stripe_subscription_id}:{subscription.current_period_end:%Y-%m-%d}",
        kind="meter_units_late",
        message=f"{units:,} metered units of {subscription.account} are not at Stripe yet, and the invoice of their "
        "period is made within minutes. What comes too late is listed under meter deliveries, to be billed by an "
        "invoice item.",
        account=subscription.account,
        now=now,
    )
