"""What is told about a plan: begun, on trial, changed, canceled, taken back, paused, over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from accounts.notifications import notify
from billing import catalog, entitlements, money
from billing.changes import telling
from billing.lifecycle import dispute_ends
from billing.messages.words import card, is_by_invoice, is_by_use, iso, next_charge, plan_name
from billing.models import Customer, Payment, PlanChange, Subscription
from billing.models.subscriptions import Status

# Not begun yet: its first payment is being made on Stripe's page, which says whatever there is to say.
UNBEGUN = (Status.INCOMPLETE, Status.INCOMPLETE_EXPIRED)
RUNNING = (Status.ACTIVE, Status.TRIALING)


def tell(
    was: Mapping[str, Subscription],
    is_now: Mapping[str, Subscription],
    *,
    off: Sequence[PlanChange],
    customer: Customer,
    since: datetime,
    now: datetime,
) -> None:
    """Every difference between two looks at an account's subscriptions. What began before `since` is no news; `off` are
    the changes that were taken back in between.
    """
    for name, subscription in is_now.items():
        known = was.get(name)
        if subscription.status in UNBEGUN or (known is None and subscription.started_at < since):
            continue
        if known is None or known.status in UNBEGUN:
            _begun(subscription, customer=customer, now=now)
        elif known.is_live and not subscription.is_live:
            # At once, for a lost dispute: the message about that has said it.
            if not known.is_canceling and dispute_ends.is_why(subscription):
                continue
            if not any(other.is_live for other in is_now.values()):
                _ended(subscription, now=now)
        elif subscription.is_live:
            _went_on(known, subscription, off=off, customer=customer, now=now)


def _begun(subscription: Subscription, *, customer: Customer, now: datetime) -> None:
    if not subscription.is_live:
        return  # over already, or live beside another one and about to be ended
    if subscription.status == Status.TRIALING:
        _tell(
            "trial_started",
            subscription,
            now=now,
            ends_at=iso(subscription.trial_end),
            has_card=bool(customer.card_last4),
            by_invoice=is_by_invoice(subscription),
            **next_charge(subscription),
        )
    else:
        _tell(
            "plan_started",
            subscription,
            now=now,
            quantity=_seats(subscription),
            next_at=iso(subscription.current_period_end),
            # Of a contract that was agreed with a last day.
            ends_at=iso(subscription.cancel_at) if subscription.is_fixed_term else None,
        )


def _went_on(
    known: Subscription,
    subscription: Subscription,
    *,
    off: Sequence[PlanChange],
    customer: Customer,
    now: datetime,
) -> None:
    if known.status == Status.TRIALING and subscription.status == Status.ACTIVE:
        _tell("trial_converted", subscription, now=now, next_at=iso(subscription.current_period_end))
    elif known.status == Status.TRIALING and subscription.status not in RUNNING:
        has_debt = subscription.status != Status.PAUSED
        url = subscription.open_invoice_url
        _tell("trial_failed", subscription, now=now, has_debt=has_debt, url=url, card=card(customer))
    elif known.status == Status.PAUSED and subscription.status in RUNNING:
        _tell("plan_started", subscription, now=now, next_at=iso(subscription.current_period_end))
    _canceled_or_resumed(known, subscription, off=off, now=now)
    _paused_or_unpaused(known, subscription, off=off, now=now)
    _changed(known, subscription, now=now)


def _canceled_or_resumed(
    known: Subscription, subscription: Subscription, *, off: Sequence[PlanChange], now: datetime
) -> None:
    if known.is_fixed_term or subscription.is_fixed_term:
        return  # who agreed on a last day has not canceled
    if _is_of_a_dispute(known, subscription):
        return  # and the message about the dispute says it
    if subscription.is_canceling and not known.is_canceling:
        on_trial = subscription.trial_end if subscription.status == Status.TRIALING else None
        _tell(
            "canceled",
            subscription,
            iso(subscription.canceled_at) or iso(now),
            now=now,
            ends_at=iso(subscription.cancel_at or on_trial or subscription.current_period_end),
            by_use=is_by_use(subscription),
            **telling.taken_back(off),
        )
    elif known.is_canceling and not subscription.is_canceling:
        _tell(
            "resumed",
            subscription,
            iso(known.canceled_at) or iso(now),
            now=now,
            next_at=iso(subscription.current_period_end),
        )


def _is_of_a_dispute(known: Subscription, subscription: Subscription) -> bool:
    """Whether it ends, or goes on again, because of a dispute that was lost, or is forgiven."""
    if subscription.is_canceling:
        return not known.is_canceling and dispute_ends.is_why(subscription)
    return known.is_canceling and dispute_ends.was_why(known)


def _paused_or_unpaused(
    known: Subscription, subscription: Subscription, *, off: Sequence[PlanChange], now: datetime
) -> None:
    if subscription.pause_collection and not known.pause_collection:
        _tell(
            "paused",
            subscription,
            iso(now),
            now=now,
            # Empty for a pause that was made at Stripe: it costs no access.
            begins_at=iso(subscription.paused_from),
            until=iso(subscription.goes_on_at),
            **telling.taken_back(off),
        )
    elif known.pause_collection and not subscription.pause_collection:
        _tell("unpaused", subscription, iso(now), now=now, next_at=iso(subscription.current_period_end))


def _changed(known: Subscription, subscription: Subscription, *, now: datetime) -> None:
    """Changed elsewhere: at Stripe, or by staff. What was changed on our pages is told by `changes.telling`."""
    ours = PlanChange.objects.filter(
        stripe_subscription_id=subscription.stripe_subscription_id,
        state=PlanChange.State.DONE,
        finished_at=now,
    )
    has_other_price = known.price_lookup_key != subscription.price_lookup_key
    if not (has_other_price or known.quantity != subscription.quantity) or ours.exists():
        return
    if has_other_price:
        before, after = _two_names(known, subscription)
        _tell(
            "plan_changed",
            subscription,
            iso(now),
            now=now,
            before=before,
            after=after,
            at=iso(now),
            next_at=iso(subscription.current_period_end),
        )
    elif _seats(subscription) is not None:
        _tell(
            "seats_changed",
            subscription,
            iso(now),
            now=now,
            before=known.quantity,
            after=subscription.quantity,
        )


def _ended(subscription: Subscription, *, now: datetime) -> None:
    unpaid = Payment.objects.filter(
        stripe_subscription_id=subscription.stripe_subscription_id,
        status__in=["open", "uncollectible"],
        amount_due__gt=0,
    )
    rights = entitlements.of(subscription.account, now=now)
    _tell(
        "ended",
        subscription,
        now=now,
        ended_at=iso(subscription.ended_at or now),
        is_unpaid=unpaid.exists(),
        free_plan=rights.plan.name,
        is_on_hold=rights.is_blocked,
        **_open_invoice(unpaid.filter(status="open")),
    )


def _open_invoice(unpaid: QuerySet[Payment]) -> dict[str, Any]:
    """The oldest that can still be paid, and whether there are more."""
    first = unpaid.order_by("created_at", "pk").first()
    if first is None:
        return {}
    return {
        "number": first.number,
        "amount": first.amount_due - first.amount_paid,
        "currency": first.currency,
        "url": first.hosted_invoice_url,
        "has_more": unpaid.exclude(pk=first.pk).exists(),
    }


def _tell(kind: str, subscription: Subscription, *more: str | None, now: datetime, **context: Any) -> None:
    notify(
        account=subscription.account,
        kind=kind,
        key=":".join([kind, subscription.stripe_subscription_id, *(part for part in more if part)]),
        now=now,
        context={
            "plan": plan_name(subscription.plan_key),
            "plan_key": subscription.plan_key,
            "subscription": subscription.stripe_subscription_id,
            **context,
        },
    )


def _seats(subscription: Subscription) -> int | None:
    price = catalog.current().in_currency(subscription.currency).find_price(subscription.price_lookup_key)
    return subscription.quantity if price is not None and price.per_seat else None


def _two_names(known: Subscription, subscription: Subscription) -> tuple[str, str]:
    """By the plans, else by how often they are paid."""
    names = plan_name(known.plan_key), plan_name(subscription.plan_key)
    if names[0] != names[1]:
        return names
    every = (_every(row.price_lookup_key) for row in (known, subscription))
    before, after = (
        f"{name}, {period}" if period else name for name, period in zip(names, every, strict=True)
    )
    return before, after


def _every(lookup_key: str) -> str:
    price = catalog.current().find_price(lookup_key)
    return "" if price is None else money.rhythm(price)
