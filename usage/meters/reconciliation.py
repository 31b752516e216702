"""What was used against what Stripe's meters have added up, by account and window; what is lost is found again."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from accounts.models import Account
from billing import alerts, catalog
from billing.models import Customer
from billing.stripe import gateway
from usage.meters import fates, periods
from usage.meters.totals import HOUR, Meters, NoMeter, hour_of, minute_of
from usage.models import MeterDelivery, MeterEvent, UsageCounter

log = structlog.get_logger(__name__)

# A window that ended longer ago has been compared when it was new, and Stripe takes nothing for it any more.
LOOK_BACK = timedelta(days=36)
# Stripe adds up with some delay, and a sender may be on its way: what is younger may be there or not.
# https://docs.stripe.com/api/billing/meter-event-summary
FRESH = timedelta(minutes=15)
# A window that is still open is worth an alert from here on; a closed one always.
TOLERANCE = 0.05
# A turn ends here, well before Celery's soft time limit would stop it in the middle.
SECONDS = 45.0

State = MeterDelivery.State


@dataclass(frozen=True)
class Comparison:
    """One meter of one account in one usage window, in units. Both ends are at whole minutes, as Stripe's sums are.

    used       in the ledger to be paid by the unit
    by_hand    of it billed by an invoice item or settled by a person
    fresh      of it on its way just now: Stripe may have it or not
    at_stripe  Stripe's sum
    lost       of it found missing at Stripe and given to a person
    """

    event_name: str
    start: datetime
    end: datetime
    is_closed: bool
    used: int
    by_hand: int
    fresh: int
    at_stripe: int
    lost: int = 0

    @property
    def difference(self) -> int:
        """Units missing at Stripe; negative: Stripe has more than was used."""
        expected = self.used - self.by_hand
        if self.at_stripe > expected:
            return expected - self.at_stripe
        return max(expected - self.fresh - self.at_stripe, 0)

    @property
    def is_alarming(self) -> bool:
        """More than a twentieth off, or anything at all once the window is closed."""
        if self.is_closed:
            return self.difference != 0
        return abs(self.difference) > TOLERANCE * max(self.used, self.at_stripe)


def reconcile_all(*, now: datetime, after: str = "", seconds: float = SECONDS) -> str:
    """Compare every account that used anything lately, in the order of their ids, from the one behind `after`.

    Answers the id where `seconds` were over, "" when all were seen. An account that cannot be compared does not stop
    the others. `now` is wall time.
    """
    started = time.monotonic()
    meters = Meters()
    found = accounts(now=now).order_by("pk")
    for account in found.filter(pk__gt=after) if after else found:
        try:
            reconcile(account, now=now, meters=meters)
        except (gateway.StripeError, NoMeter) as error:
            log.warning("meters_not_compared", account=str(account.pk), error=type(error).__name__)
        if time.monotonic() - started >= seconds:
            return str(account.pk)
    return ""


def accounts(*, now: datetime) -> QuerySet[Account]:
    """Accounts with deliveries in the last weeks. `now` is wall time."""
    recent = MeterDelivery.objects.filter(frozen_at__gt=now - LOOK_BACK)
    return Account.objects.filter(pk__in=recent.values("account_id"))


def reconcile(
    account: Account, *, now: datetime, dry_run: bool = False, meters: Meters | None = None
) -> list[Comparison]:
    """Compare one account's meters, window by window; answers what was found, the newest window first.

    A delivery that counts as sent and is missing at Stripe is given to a person, when the hour's sums say which one it
    is; an alarming difference raises an alert. With `dry_run` neither happens. Safe any number of times. `now` is wall
    time; an account on a test clock has its windows by that.

    Raises NoMeter and the gateway's errors.
    """
    customer = Customer.objects.filter(account=account).first()
    if customer is None or not customer.stripe_customer_id:
        return []
    asked = meters or Meters()
    found = []
    for event_name, start, end in _windows(account, now=customer.clock_now or now):
        comparison = _compare(
            account,
            asked,
            customer,
            event_name=event_name,
            start=start,
            end=end,
            now=now,
        )
        if comparison.difference > 0 and not dry_run:
            lost = _give_back_lost(account, asked, customer, comparison, now=now)
            comparison = Comparison(**{**comparison.__dict__, "lost": lost})
        if not dry_run:
            _tell(account, comparison, now=now)
        found.append(comparison)
    return found


def _windows(account: Account, *, now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    """The usage windows of metered features; for prices by the month they are the billing periods."""
    names = {feature.key: feature.meter_event_name for feature in catalog.current().features.values()}
    counters = UsageCounter.objects.filter(
        account=account,
        feature__in=[key for key, name in names.items() if name],
        period_start__lte=now,
        period_end__gt=now - LOOK_BACK,
    )
    for counter in counters.order_by("-period_start", "feature"):
        yield names[counter.feature] or "", minute_of(counter.period_start), minute_of(counter.period_end)


def _compare(
    account: Account,
    meters: Meters,
    customer: Customer,
    *,
    event_name: str,
    start: datetime,
    end: datetime,
    now: datetime,
) -> Comparison:
    mine = {"account": account, "event_name": event_name, "occurred_at__gte": start, "occurred_at__lt": end}
    # Deliveries first: what is frozen meanwhile is then counted twice here rather than missed, and is fresh.
    deliveries = MeterDelivery.objects.filter(**mine)
    sums = deliveries.aggregate(
        all=_units(Q()),
        by_hand=_units(Q(state__in=[State.BILLED, State.SETTLED], is_counted=False)),
        fresh=_units(
            Q(state=State.SENT, sent_at__gt=now - FRESH) | Q(state=State.WAITING, frozen_at__gt=now - FRESH)
        ),
    )
    waiting = MeterEvent.objects.filter(**mine, state=MeterEvent.State.WAITING).aggregate(units=_units(Q()))
    account_now = customer.clock_now or now
    return Comparison(
        event_name=event_name,
        start=start,
        end=end,
        is_closed=account_now - end > periods.DRAFT,
        used=sums["all"] + waiting["units"],
        by_hand=sums["by_hand"],
        fresh=sums["fresh"] + waiting["units"],
        at_stripe=meters.total(
            event_name=event_name, customer_id=customer.stripe_customer_id or "", start=start, end=end
        ),
    )


def _units(which: Q) -> Coalesce:
    return Coalesce(Sum("units", filter=which), 0)


def _give_back_lost(
    account: Account, meters: Meters, customer: Customer, comparison: Comparison, *, now: datetime
) -> int:
    """Deliveries that count as sent and are certainly not in Stripe's sum of their hour; answers their units."""
    sent = MeterDelivery.objects.filter(
        account=account,
        event_name=comparison.event_name,
        state=State.SENT,
        sent_at__lte=now - FRESH,
        occurred_at__gte=hour_of(comparison.start),
        occurred_at__lt=hour_of(comparison.end) + HOUR,
    )
    by_hour: dict[datetime, list[MeterDelivery]] = defaultdict(list)
    for delivery in sent:
        by_hour[hour_of(delivery.occurred_at)].append(delivery)
    at_stripe = meters.by_hour(
        event_name=comparison.event_name,
        customer_id=customer.stripe_customer_id or "",
        start=hour_of(comparison.start),
        end=hour_of(comparison.end) + HOUR,
    )
    lost = 0
    for hour, deliveries in by_hour.items():
        for delivery in _lost(deliveries, at_stripe.get(hour, 0)):
            fates.found_missing(delivery, now=now)
            lost += delivery.units
    return lost


def _lost(deliveries: list[MeterDelivery], at_stripe: int) -> list[MeterDelivery]:
    """Which of an hour's deliveries are missing, if the sums leave no choice."""
    missing = sum(delivery.units for delivery in deliveries) - at_stripe
    if at_stripe == 0:
        return deliveries
    fitting = [delivery for delivery in deliveries if delivery.units == missing]
    return fitting if len(fitting) == 1 else []


def _tell(account: Account, comparison: Comparison, *, now: datetime) -> None:
    if comparison.difference == 0:
        return
    facts = {
        "meter": comparison.event_name,
        "from": f"{comparison.start:%Y-%m-%d %H:%M}",
        "used": comparison.used,
        "at_stripe": comparison.at_stripe,
        "difference": comparison.difference,
    }
    log.warning("meters_differ", account=str(account.pk), **facts)
    if not comparison.is_alarming:
        return
    what = "has fewer" if comparison.difference > 0 else "has more"
    alerts.raise_alert(
        key=f"meters_differ:{account.pk}:{comparison.event_name}:{comparison.start:%Y-%m-%dT%H:%M}",
        kind="meters_differ",
        message=f"Stripe {what} {comparison.event_name} of {account} than were used: {comparison.at_stripe:,} instead "
        f"of {comparison.used - comparison.by_hand:,} from {comparison.start:%Y-%m-%d %H:%M} to "
        f"{comparison.end:%Y-%m-%d %H:%M} UTC. "
        + (
            f"{comparison.lost:,} of the missing are listed for review under meter deliveries."
            if comparison.lost
            else "Look at the account's meter deliveries, and at the meter's events in the Stripe Dashboard."
        ),
        account=account,
        now=now,
    )
