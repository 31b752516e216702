"""Why this account was charged, blocked or limited, down to the row: on a staff page, and in a shell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account, Notification
from billing import access, catalog, credits, entitlements, money
from billing.deals import agreed
from billing.entitlements import Entitlements, facts_of
from billing.models import Alert, Customer, Offer, Payment, PlanChange, PlanGrant, Subscription
from usage import metering
from usage.metering import Balance, spending
from usage.models import Budget, MeterDelivery, Reservation, UsageRecord

PAYMENTS, ACTS = 10, 10


@dataclass(frozen=True)
class Part:
    """One question and the lines that answer it."""

    title: str
    lines: tuple[str, ...]


def explain(account: Account, *, now: datetime) -> list[Part]:
    """Everything that decides what `account` has and pays at `now`, its own time. Reads only."""
    rights = entitlements.of(account, now=now)
    return [
        Part(title, tuple(lines) or ("Nothing.",))
        for title, lines in (
            ("Who and when", _who(account, now)),
            ("What the account may do, and why", _rights(rights)),
            ("What was bought", _bought(account, now)),
            ("What was offered and agreed", _agreed(account)),
            ("What was given by staff", _given(account, now)),
            ("What is counted", _counted(rights)),
            ("What was charged", _charged(account)),
            ("What is on its way to Stripe's meters", _metered(account)),
            ("The latest acts", _acts(account)),
            ("What the account was told", _told(account)),
            ("What staff were told", _alerts(account)),
        )
    ]


def _who(account: Account, now: datetime) -> Iterator[str]:
    yield f"{account} {account.pk}, since {_at(account.created_at)}, time zone {account.timezone}"
    customer = Customer.objects.filter(account=account).first()
    yield f"Its time is {_at(now)}" + (
        f", shown by Stripe's test clock {customer.test_clock_id}" if customer and customer.clock_now else ""
    )
    if account.closed_at:
        yield f"Closed on {_at(account.closed_at)}"
    if customer is None:
        yield "Not at Stripe: nothing was ever bought"
        return
    yield f"Stripe customer {customer.stripe_customer_id or 'not yet'}, last asked on {_at(customer.synced_at)}"
    if customer.sync_wanted > customer.sync_served:
        yield f"{customer.sync_wanted - customer.sync_served} syncs are owed: what is here may be old"
    if customer.suspended_at:
        yield f"On hold since {_at(customer.suspended_at)}: {customer.suspended_reason}"
    if customer.dispute_state:
        yield f"A dispute is {customer.dispute_state}"


def _rights(rights: Entitlements) -> Iterator[str]:
    yield f"{rights.level.name}, because: {rights.reason}; the plan in force is {rights.plan.name}"
    if rights.grace_until:
        yield f"Grace until {_at(rights.grace_until)}"
    yield f"This answer holds until {_at(rights.valid_until)} unless something is changed (stamp {rights.stamp})"
    if rights.decision.needs_staff:
        yield "A person should look at it: something is not as it should be"
    for switch in catalog.current().features.values():
        if switch.kind == "switch":
            yield f"{switch.name}: {'on' if rights.includes(switch.key) else 'off'}"
        elif switch.kind == "limit":
            yield f"{switch.name}: {money.quantity(rights.limit(switch.key), switch)}"


def _bought(account: Account, now: datetime) -> Iterator[str]:
    for subscription in Subscription.objects.filter(account=account).order_by("-started_at")[:5]:
        gives = access.decide(subscriptions=[facts_of(subscription)], now=now)
        yield (
            f"{subscription.stripe_subscription_id}: {subscription.plan_key} by {subscription.price_lookup_key} × "
            f"{subscription.quantity}, {subscription.status} since {_at(subscription.status_since)}, "
            f"{_at(subscription.current_period_start)} to {_at(subscription.current_period_end)}; alone it gives "
            f"{gives.level.name} ({gives.reason})"
        )
        for what, at in (
            ("trial until", subscription.trial_end),
            ("ends on", subscription.cancel_at),
            ("ended on", subscription.ended_at),
            ("payment failing since", subscription.first_failed_at),
            ("next try", subscription.next_payment_attempt_at),
            ("paused from", subscription.paused_from),
        ):
            if at is not None:
                yield f"  {what} {_at(at)}"
        if subscription.needs_review:
            yield f"  to be looked at: {subscription.review_reason}"
    for change in PlanChange.objects.filter(account=account).order_by("-pk")[:5]:
        yield f"Change {change.pk}: {change}"


def _agreed(account: Account) -> Iterator[str]:
    for offer in Offer.objects.filter(account=account).select_related("made_by").order_by("-pk")[:10]:
        yield (
            f"Offer {offer.pk}: {offer.plan_key} × {offer.seats} for "
            f"{money.text(agreed.total(offer), offer.currency)} a {offer.interval}, made on {_at(offer.created_at)} by "
            f"{offer.made_by or 'nobody known'} and sent to {offer.recipient or 'an address that was erased'}: "
            f"{offer.get_state_display().lower()}"
        )
        if offer.state == Offer.State.ACCEPTED:
            who = (
                f"{offer.accepted_name} <{offer.accepted_email}>"
                if offer.accepted_name
                else "a name that was erased"
            )
            until = f", agreed until {_at(offer.until)}" if offer.until else ", until it is canceled"
            yield (
                f"  accepted on {_at(offer.accepted_at)} by {who}; {offer.stripe_subscription_id} began then{until}"
            )


def _given(account: Account, now: datetime) -> Iterator[str]:
    for grant in PlanGrant.objects.filter(account=account).order_by("-starts_at")[:10]:
        is_valid = PlanGrant.objects.valid(now).filter(pk=grant.pk).exists()
        yield (
            f"{grant.kind} {grant.plan_key} from {_at(grant.starts_at)} to {_at(grant.until)}, "
            f"{'counts' if is_valid else 'does not count'}: {grant.reason}"
            + (f"; its own numbers {grant.overrides}" if grant.overrides else "")
        )


def _counted(rights: Entitlements) -> Iterator[str]:
    budget = Budget.objects.filter(account=rights.account).first()
    if budget is not None:
        spent = money.text(spending.spent(rights), rights.currency)
        yield f"Budget {money.text(budget.amount, rights.currency)} a billing month, spent {spent}"
    for balance in metering.balances(rights.account, now=rights.now, rights=rights):
        yield _balance(balance)
    for ahead in credits.balances(rights.account, now=rights.now):
        yield f"Credits: {ahead.units:,} {ahead.feature}, the next end on {_at(ahead.next_expiry)}"
    for held in Reservation.objects.holding(rights.now).filter(account=rights.account).order_by("-pk")[:ACTS]:
        yield f"Held: {held.units:,} {held.feature} until {_at(held.expires_at)} ({held.idempotency_key})"


def _balance(balance: Balance) -> str:
    end = "no end" if balance.limit is None else f"at most {balance.limit:,}"
    return (
        f"{balance.feature}: {balance.used:,} used, {end}, {_at(balance.period_start)} to {_at(balance.period_end)}; "
        f"included {'unlimited' if balance.included is None else f'{balance.included:,}'}, rolled over "
        f"{balance.rolled_over:,}, from credits {balance.credited:,}, paid {balance.billed:,}, "
        f"held {balance.reserved:,}"
    )


def _charged(account: Account) -> Iterator[str]:
    for payment in Payment.objects.filter(account=account).order_by("-created_at", "-pk")[:PAYMENTS]:
        yield (
            f"{payment.number or payment.stripe_invoice_id} of {_at(payment.created_at)}: "
            f"{money.text(payment.amount_due, payment.currency)}, {payment.status}, {payment.billing_reason}, "
            f"{payment.attempt_count} tries: {payment.description}"
            + (
                f"; {money.text(payment.amount_refunded, payment.currency)} given back"
                if payment.amount_refunded
                else ""
            )
            + _disputed(payment)
        )


def _disputed(payment: Payment) -> str:
    if payment.dispute_state == "lost":
        taken = money.text(payment.amount_taken_back, payment.currency)
        return f"; {taken} taken back by the bank on {_at(payment.taken_back_at)}"
    return "; a bank asks for it back" if payment.dispute_state else ""


def _metered(account: Account) -> Iterator[str]:
    for delivery in MeterDelivery.objects.filter(account=account).order_by("-pk")[:ACTS]:
        yield (
            f"{delivery.identifier}: {delivery.units:,} {delivery.event_name} of {_at(delivery.occurred_at)}, "
            f"{delivery.state} after {delivery.attempts} tries {delivery.last_error}"
        )


def _acts(account: Account) -> Iterator[str]:
    for act in UsageRecord.objects.filter(account=account).order_by("-id")[:ACTS]:
        yield (
            f"{act.pk} on {_at(act.recorded_at)}: {act.units:,} {act.feature}, of them {act.credited:,} from credits "
            f"and {act.billed:,} paid, {act.used_after:,} used after it, key {act.idempotency_key}"
        )


def _told(account: Account) -> Iterator[str]:
    """The latest notifications, each with the ways it left the house."""
    latest = Notification.objects.filter(account=account).prefetch_related("deliveries").order_by("-pk")
    for told in latest[:ACTS]:
        ways = ", ".join(f"{way.channel} {way.state}" for way in told.deliveries.all()) or "in the site alone"
        yield f"{_at(told.created_at)} {told.kind}: {told.subject} ({ways})"


def _alerts(account: Account) -> Iterator[str]:
    for alert in Alert.objects.filter(account=account).order_by("-last_seen_at")[:ACTS]:
        yield f"{_at(alert.last_seen_at)} {alert.kind}{' (resolved)' if alert.resolved_at else ''}: {alert.message}"


def _at(moment: datetime | None) -> str:
    return "for good" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
