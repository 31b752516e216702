"""The rows before a sync beside the rows after it: every difference that a customer must hear of is told.

It is the sync's transaction that writes both, so what is told is what is true, and each key names a fact of Stripe's,
so that no letter, doubled, late or out of order, is told twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Account
from billing.messages import cards, invoices, plans, reminders
from billing.models import Customer, Payment, PlanChange, Subscription
from billing.stripe.truth import Truth

# What is older than the last look by more than this is history (an import, a restored backup), not news.
SLACK = timedelta(days=3)


@dataclass(frozen=True)
class Before:
    """An account's subscriptions and payments as they stood, by Stripe's id, and the changes that were under way."""

    subscriptions: dict[str, Subscription]
    payments: dict[str, Payment]
    changes: frozenset[int]


def before(account: Account) -> Before:
    """Call it before anything is written."""
    return Before(
        subscriptions={
            row.stripe_subscription_id: row for row in Subscription.objects.filter(account=account)
        },
        payments={row.stripe_invoice_id: row for row in Payment.objects.filter(account=account)},
        changes=frozenset(PlanChange.objects.filter(account=account).open().values_list("pk", flat=True)),
    )


def tell(truth: Truth, *, customer: Customer, was: Before, now: datetime) -> None:
    """Tell what changed. Inside the sync's transaction, after all rows are written.

    `customer` is the row as it was before; `now` the account's time.
    """
    account = customer.account
    since = min(customer.synced_at or now, now) - SLACK
    # Its card may have changed with this sync.
    known, customer = customer, Customer.objects.get(pk=customer.pk)
    is_now = before(account)
    cards.tell(known, customer, subscriptions=is_now.subscriptions.values(), now=now)
    off = list(PlanChange.objects.filter(pk__in=was.changes, state=PlanChange.State.UNDONE))
    plans.tell(was.subscriptions, is_now.subscriptions, off=off, customer=customer, since=since, now=now)
    invoices.tell(
        was.payments,
        is_now.payments,
        truth=truth,
        subscriptions=is_now.subscriptions,
        customer=customer,
        since=since,
        now=now,
    )
    for subscription in is_now.subscriptions.values():
        reminders.tell(subscription, customer=customer, now=now)
