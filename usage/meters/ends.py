"""A plan that was ended at Stripe itself may have no last invoice: what was used on it is given to a person to bill."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Concat

from billing import alerts, catalog, effects
from billing.catalog import Price
from billing.lifecycle import waived
from billing.models import Effect, Subscription
from billing.models.subscriptions import SubscriptionItem
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc
from usage.meters import fates, periods
from usage.models import MeterDelivery
from usage.models.meters import MeterDeliveryQuerySet

log = structlog.get_logger(__name__)

KIND = "last_invoice"
# Stripe counts in whole seconds: what was used within one carries its beginning.
SECOND = timedelta(seconds=1)
# What ended longer ago was looked at when it was new.
LOOK_BACK = timedelta(days=36)
MOST_INVOICES = 40
# A sweep ends here, well before Celery's soft time limit would stop it in the middle.
SWEEP_SECONDS = 20.0


def sweep(*, now: datetime, seconds: float = SWEEP_SECONDS) -> int:
    """Look at plans that ended an hour ago or more, each once; answers how many deliveries were given to a person.

    Who ends a plan on our pages is billed to the last unit. In the Dashboard, or by the API, it can be ended at once
    without an invoice (https://docs.stripe.com/billing/subscriptions/cancel#handle-invoice-items-when-canceling-subscriptions),
    and then what its meter has counted is billed by nobody. What nobody is to pay for is left: a trial's, that of a
    plan whose money went back, and what another plan of the account has on its own invoice. `now` is wall time; who
    lives on a test clock is judged by that.
    """
    started = time.monotonic()
    given = 0
    for subscription in _ended(now):
        if gateway.is_resting() or time.monotonic() - started >= seconds:
            break
        try:
            given += _look(subscription, now=now)
        except gateway.StripeError as error:
            log.warning(
                "last_invoice_not_seen", account=str(subscription.account_id), error=type(error).__name__
            )
    return given


def _ended(now: datetime) -> QuerySet[Subscription]:
    metered = SubscriptionItem.objects.filter(subscription=OuterRef("pk"), is_metered=True)
    seen = Effect.objects.filter(key=Concat(Value(f"{KIND}:"), OuterRef("stripe_subscription_id")))
    return (
        Subscription.objects.filter(Exists(metered), ~Exists(seen), is_live=False)
        .exclude(status="incomplete_expired")
        .annotate(at=Coalesce("account__customer__clock_now", Value(now)))
        .filter(ended_at__lte=F("at") - periods.DRAFT, ended_at__gt=F("at") - LOOK_BACK)
        .select_related("account")
        .order_by("?")
    )


def _look(subscription: Subscription, *, now: datetime) -> int:
    found = []
    if not waived.is_waived(subscription):
        lines = _lines(subscription)
        found = [_missing(subscription, item, lines) for item in subscription.items.filter(is_metered=True)]
    deliveries = [delivery for several, _ in found for delivery in several]
    unplaced = sum(units for _, units in found)
    key = f"{KIND}:{subscription.stripe_subscription_id}"
    with transaction.atomic():
        for delivery in deliveries:
            fates.uninvoiced(delivery, now=now)
        if unplaced:
            alerts.raise_alert(
                key=key,
                kind="units_without_invoice",
                message=f"{unplaced:,} metered units of {subscription.account} are on no invoice of "
                f"{subscription.stripe_subscription_id}, which ended at Stripe, and no delivery has just so many. "
                "Compare its last invoice with its meter deliveries.",
                account=subscription.account,
                now=now,
            )
        effects.once(key=key, kind=KIND, account=subscription.account, now=now)
    return len(deliveries)


def _missing(
    subscription: Subscription, item: SubscriptionItem, lines: list[Doc]
) -> tuple[list[MeterDelivery], int]:
    """The newest deliveries of the last period that no invoice has, and units that make no whole delivery."""
    billed = sum(line.get("quantity") or 0 for line in lines if _is_of_last_period(line, item))
    counted = _counted(subscription, item)
    billed += _billed_before(subscription, item, lines, counted)
    left = sum(delivery.units for delivery in counted) - billed
    given = []
    for delivery in counted:
        if 0 < delivery.units <= left:
            given.append(delivery)
            left -= delivery.units
    return given, max(left, 0)


def _billed_before(
    subscription: Subscription, item: SubscriptionItem, lines: list[Doc], counted: list[MeterDelivery]
) -> int:
    """Units of the period's very first second that the invoice before it has already.

    What was used in the second in which a plan is ended or changed may be on the invoice of what was before, and a test
    clock, which stands still, holds a day's work in one second. So such an invoice is compared with what was used until
    then: what it has beyond that is of the second itself.
    """
    begun = item.current_period_start
    in_first_second = sum(delivery.units for delivery in counted if delivery.occurred_at < begun + SECOND)
    if not in_first_second:
        return 0
    others = Subscription.objects.filter(account=subscription.account, ended_at=begun)
    before = [*lines, *(line for other in others.exclude(pk=subscription.pk) for line in _lines(other))]
    beyond = sum(
        max(0, (line.get("quantity") or 0) - _used(subscription, item, line))
        for line in before
        if shapes.known_moment(line["period"]["end"]) == begun
        and not _is_of_last_period(line, item)
        and _is_of_same_meter(line, item)
    )
    return min(in_first_second, beyond)


def _used(subscription: Subscription, item: SubscriptionItem, line: Doc) -> int:
    """Units that Stripe's meter has of the period of a line, without its last second."""
    there = MeterDelivery.objects.filter(
        Q(state=MeterDelivery.State.SENT) | Q(is_counted=True),
        account=subscription.account,
        occurred_at__gte=shapes.known_moment(line["period"]["start"]),
        occurred_at__lt=shapes.known_moment(line["period"]["end"]),
    )
    return sum(_on_meter_of(item, there).values_list("units", flat=True))


def _is_of_same_meter(line: Doc, item: SubscriptionItem) -> bool:
    """A price of before may be another one, for the same units."""
    named = shapes.line_price_id(line)
    if not named or named == item.stripe_price_id:
        return bool(named)
    meters = [
        (gateway.get(f"/v1/prices/{price}").get("recurring") or {}).get("meter")
        for price in (named, item.stripe_price_id)
    ]
    return meters[0] is not None and meters[0] == meters[1]


def _lines(subscription: Subscription) -> list[Doc]:
    """Of every invoice of the plan that is or was to be paid."""
    asked = {"subscription": subscription.stripe_subscription_id}
    try:
        invoices = list(gateway.pages("/v1/invoices", asked, at_most=MOST_INVOICES))
    except gateway.NotFound:
        return []  # its customer was deleted, and the plan with it
    return [line for invoice in invoices if invoice["status"] != "void" for line in _lines_of(invoice)]


def _lines_of(invoice: Doc) -> Iterable[Doc]:
    """An invoice carries the first handful itself: https://docs.stripe.com/api/invoice-line-item/list"""
    if (invoice.get("lines") or {}).get("has_more"):
        return gateway.pages(f"/v1/invoices/{invoice['id']}/lines")
    return shapes.entries(invoice.get("lines"))


def _is_of_last_period(line: Doc, item: SubscriptionItem) -> bool:
    """A plan that ended in the second in which it began has a line that begins and ends there."""
    begun = item.current_period_start
    return shapes.line_price_id(line) == item.stripe_price_id and (
        shapes.known_moment(line["period"]["end"]) > begun
        or shapes.known_moment(line["period"]["start"]) >= begun
    )


def _counted(subscription: Subscription, item: SubscriptionItem) -> list[MeterDelivery]:
    """What Stripe's meter has of the last period, as far as it costs something, the newest first.

    A meter counts for a customer, so a plan that ran beside this one bills the same units. What is used in a trial is
    free (https://docs.stripe.com/billing/subscriptions/trials).
    """
    price = catalog.current().find_price(item.lookup_key)
    beside = (
        Subscription.objects.filter(
            Q(ended_at=None) | Q(ended_at__gt=OuterRef("occurred_at")),
            account=subscription.account,
            started_at__lte=OuterRef("occurred_at"),
            items__is_metered=True,
        )
        .exclude(pk=subscription.pk)
        .exclude(status="incomplete_expired")
    )
    if subscription.ended_at is None:
        return []
    begun = item.current_period_start
    if subscription.trial_end is not None:
        begun = max(begun, subscription.trial_end)
    sent = MeterDelivery.objects.filter(
        ~Exists(beside),
        account=subscription.account,
        state=MeterDelivery.State.SENT,
        occurred_at__gte=begun,
        # With the second in which it ended: until then it was there.
        occurred_at__lt=subscription.ended_at + SECOND,
    )
    found = list(_on_meter_of(item, sent).order_by("-sent_at", "-pk"))
    units = sum(delivery.units for delivery in found)
    return found if price is None or price.charge(units) else []


def _on_meter_of(item: SubscriptionItem, deliveries: MeterDeliveryQuerySet) -> MeterDeliveryQuerySet:
    price = catalog.current().find_price(item.lookup_key)
    return deliveries.filter(event_name=_meter_of(price)) if price else deliveries


def _meter_of(price: Price) -> str:
    feature = catalog.current().feature(price.meter) if price.meter else None
    return (feature.meter_event_name if feature else None) or ""
