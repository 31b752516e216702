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

log = structlog.get_logger(__name__)

KIND = "last_invoice"
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
    left = sum(delivery.units for delivery in counted) - billed
    given = []
    for delivery in counted:
        if 0 < delivery.units <= left:
            given.append(delivery)
            left -= delivery.units
    return given, max(left, 0)


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
    return (
        shapes.line_price_id(line) == item.stripe_price_id
        and shapes.known_moment(line["period"]["end"]) > item.current_period_start
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
    begun = item.current_period_start
    if subscription.trial_end is not None:
        begun = max(begun, subscription.trial_end)
    sent = MeterDelivery.objects.filter(
        ~Exists(beside),
        account=subscription.account,
        state=MeterDelivery.State.SENT,
        occurred_at__gte=begun,
        occurred_at__lte=subscription.ended_at,
    )
    sent = sent.order_by("-sent_at", "-pk")
    found = list(sent.filter(event_name=_meter_of(price)) if price else sent)
    units = sum(delivery.units for delivery in found)
    return found if price is None or price.charge(units) else []


def _meter_of(price: Price) -> str:
    feature = catalog.current().feature(price.meter) if price.meter else None
    return (feature.meter_event_name if feature else None) or ""
