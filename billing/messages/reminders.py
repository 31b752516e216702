"""What is told ahead of a date: a trial's end, a charge, a yearly renewal. By the account's own clock."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from accounts.models import Notification
from accounts.notifications import notify, overtake
from billing import catalog
from billing.messages.words import card, is_by_invoice, is_by_use, iso, next_charge, plan_name
from billing.models import Customer, PlanChange, Subscription
from billing.models.subscriptions import Status
from billing.price_rises import coming

log = structlog.get_logger(__name__)

# Card networks ask for a notice seven days before a trial turns into a charge; a shorter trial is announced when
# Stripe does (`customer.subscription.trial_will_end`): https://docs.stripe.com/billing/subscriptions/trials
TRIAL_DAYS = 7
SHORT_TRIAL = timedelta(days=10)
SHORT_TRIAL_DAYS = 3
CHARGE_DAYS = 3
# Yearly renewals are announced 15 to 45 days ahead where the law asks for it (California, BPC 17602(b)).
YEARLY_DAYS = 30
SWEEP_SECONDS = 45
RENEWALS = ("yearly_renewal", "upcoming_charge")


def tell(subscription: Subscription, *, customer: Customer, now: datetime) -> None:
    """Whatever is due about one subscription at `now` (the account's time), once per date. In a transaction."""
    if not subscription.is_live:
        return
    if subscription.status == Status.TRIALING:
        _trial_ending(subscription, customer=customer, now=now)
    elif (
        subscription.status == Status.ACTIVE
        and not subscription.is_canceling
        and not subscription.pause_collection
    ):
        _renewal(subscription, customer=customer, now=now)


def sweep(*, now: datetime, limit: int = 2000) -> int:
    """For the beat: everybody whose date is near. `now` is wall time; answers how many were looked at."""
    started = time.monotonic()
    looked_at = 0
    for subscription in _near(now)[:limit]:
        if time.monotonic() - started > SWEEP_SECONDS:
            break
        customer = Customer.objects.filter(account=subscription.account).first()
        # What was just changed has its sum from the sync that is owed, and that sync tells it.
        if customer is not None and customer.sync_wanted <= customer.sync_served:
            try:
                with transaction.atomic():
                    tell(subscription, customer=customer, now=customer.clock_now or now)
            except Exception:  # one account's trouble must not keep the others from their notices
                log.exception("reminder_not_told", subscription=subscription.stripe_subscription_id)
        looked_at += 1
    return looked_at


def overtaken(subscription: Subscription, *, now: datetime) -> None:
    """What was told of the renewal ahead, or of a day that is no renewal any more, is no longer so; what is charged now
    is told anew, as soon as it is known. In a transaction; `now` is the account's time.
    """
    for notice in _told(subscription).filter(overtaken_at=None):
        if datetime.fromisoformat(notice.context["at"]) > now:
            _, _, key = notice.key.partition(": ")  # whose it is stands before it
            overtake(account=subscription.account, key=key, now=now)


def _near(now: datetime) -> list[Subscription]:
    """By chance, so that what could not be told does not always come first."""
    found = (
        Subscription.objects.live()
        .annotate(at=Coalesce("account__customer__clock_now", Value(now)))
        .filter(
            Q(
                status=Status.TRIALING,
                trial_end__gt=F("at"),
                trial_end__lte=F("at") + timedelta(days=TRIAL_DAYS),
            )
            | Q(
                status=Status.ACTIVE,
                current_period_end__gt=F("at"),
                current_period_end__lte=F("at") + timedelta(days=YEARLY_DAYS),
            )
        )
        .select_related("account")
    )
    return list(found.order_by("?"))


def _trial_ending(subscription: Subscription, *, customer: Customer, now: datetime) -> None:
    ends_at = subscription.trial_end
    if ends_at is None:
        return
    days = SHORT_TRIAL_DAYS if ends_at - subscription.started_at <= SHORT_TRIAL else TRIAL_DAYS
    # The message that it began has said it, a day ago or less.
    if not _is_near(ends_at, days, now) or now - subscription.started_at < timedelta(days=1):
        return
    _tell(
        "trial_ending",
        subscription,
        ends_at,
        now=now,
        ends_at=iso(ends_at),
        is_canceling=subscription.is_canceling,
        has_card=bool(customer.card_last4),
        by_invoice=is_by_invoice(subscription),
        card=card(customer),
        **next_charge(subscription),
    )


def _renewal(subscription: Subscription, *, customer: Customer, now: datetime) -> None:
    renews_at = subscription.current_period_end
    if renews_at is None:
        return
    change = PlanChange.objects.filter(account=subscription.account).planned().first()
    # What renews that day is what was planned for it.
    then = change if change is not None and change.takes_effect_at <= renews_at else None
    price = catalog.current().find_price(then.to_price if then else subscription.price_lookup_key)
    # The worker may be late with a rise that was told: what is charged then is named all the same.
    amount = coming.next_charge(subscription, rise=coming.rise_of(subscription, now=now))
    facts = {
        **({"plan": plan_name(then.to_plan_key), "plan_key": then.to_plan_key} if then else {}),
        "at": iso(renews_at),
        "card": card(customer),
        "by_invoice": is_by_invoice(subscription),
        "amount": amount,
        "currency": subscription.currency,
    }
    if price is not None and price.months >= 12:
        if _is_near(renews_at, YEARLY_DAYS, now):
            is_other = then is not None and then.to_plan_key != subscription.plan_key
            before = plan_name(subscription.plan_key) if is_other else ""
            _announce("yearly_renewal", subscription, renews_at, now=now, before=before, **facts)
    elif _is_near(renews_at, CHARGE_DAYS, now) and amount:
        by_use = is_by_use(subscription)
        _announce("upcoming_charge", subscription, renews_at, now=now, by_use=by_use, **facts)


def _announce(
    kind: str, subscription: Subscription, day: datetime, *, now: datetime, **facts: object
) -> None:
    """A renewal, once; and anew when what was told of it is no longer so."""
    told = _told(subscription).filter(context__at=iso(day))
    if not told.filter(overtaken_at=None).exists():
        key = _key(kind, subscription, day)
        _tell(kind, subscription, day, now=now, key=f"{key}:{told.count()}" if told else key, **facts)


def _told(subscription: Subscription) -> QuerySet[Notification]:
    return Notification.objects.filter(
        account=subscription.account_id,
        kind__in=RENEWALS,
        context__subscription=subscription.stripe_subscription_id,
    )


def _is_near(at: datetime, days: int, now: datetime) -> bool:
    return now < at <= now + timedelta(days=days)


def _tell(
    kind: str, subscription: Subscription, day: datetime, *, now: datetime, key: str = "", **context: object
) -> None:
    notify(
        account=subscription.account,
        kind=kind,
        key=key or _key(kind, subscription, day),
        now=now,
        context={
            "plan": plan_name(subscription.plan_key),
            "plan_key": subscription.plan_key,
            "subscription": subscription.stripe_subscription_id,
            **context,
        },
    )


def _key(kind: str, subscription: Subscription, day: datetime) -> str:
    return f"{kind}:{subscription.stripe_subscription_id}:{day:%Y-%m-%d}"
