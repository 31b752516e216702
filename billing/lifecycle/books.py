"""What Stripe said, written on our rows in one short transaction. Only `subscriptions.sync` comes here."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import F, Model

from accounts.models import Account
from billing import alerts, catalog, currencies, messages
from billing.changes import following
from billing.deals import following as deals
from billing.lifecycle import customers, debtors, projection, trials
from billing.models import CheckoutIntent, Customer, Payment, PlanChange, Subscription, SubscriptionItem
from billing.models.subscriptions import Status
from billing.signals import currency_changed
from billing.stripe import mirror
from billing.stripe.truth import Truth

Row = TypeVar("Row", bound=Model)
# No change of what the account may do.
BOOKKEEPING = frozenset({"synced_at", "stripe_schedule_id"})


def write(truth: Truth, *, customer: Customer, now: datetime) -> None:
    """Project the truth. Inside `lease.Held.saving`: `customer` is locked and the lease checked.

    `now` is the account's time. Raises the counter `access_version` when anything that access depends on
    changed.
    """
    account = customer.account
    was, was_paid_in = messages.before(account), currencies.of(account.pk)
    if truth.is_deleted:
        changed = _end_everything(customer, now=now)
        _write_payments(truth, account=account, now=now)
    else:
        changed = _write_subscriptions(truth, account=account, now=now)
        _write_payments(truth, account=account, now=now)
        _write_checkouts(truth, account=account, now=now)
        changed |= _write_customer(truth, customer=customer)
        trials.note(truth, account=account, now=now)
        debtors.look(truth, account=account, now=now)
    if currencies.of(account.pk) != was_paid_in:
        currency_changed.send(Customer, account=account, before=was_paid_in)
    following.settle(truth, account=account, now=now)
    messages.tell(truth, customer=customer, was=was, now=now)
    # A clock may have been moved while we asked, and clocks only go forwards.
    shown = max((at for at in (truth.clock_now, customer.clock_now) if at is not None), default=None)
    Customer.objects.filter(pk=customer.pk).update(
        synced_at=now,
        access_version=F("access_version") + (1 if changed else 0),
        clock_now=shown,
    )


def _write_subscriptions(truth: Truth, *, account: Account, now: datetime) -> bool:
    # All items at once: who bought often has many subscriptions that are over.
    rows = Subscription.objects.filter(account=account).prefetch_related("items")
    known = {sub.stripe_subscription_id: sub for sub in rows}
    if truth.customer is None and not known:
        return False
    # What was agreed is known before the row that points to it is written.
    agreed = {one["id"]: deals.settle(one, account=account, now=now) for one in truth.subscriptions}
    values = [
        projection.of_subscription(
            document,
            truth=truth,
            known=known.get(document["id"]),
            prices=catalog.current(),
            remember=_remembered_lookup_key,
            now=now,
        )
        for document in truth.subscriptions
    ]
    if PlanChange.objects.filter(account=account, state=PlanChange.State.SET_ASIDE).exists():
        _keep_planned_charges(values, truth, known)
    changed = False
    # Those that ended first: the database allows one live subscription per account at any moment.
    for value in sorted(values, key=lambda value: bool(value.row["is_live"])):
        row = known.get(value.stripe_subscription_id)
        row, is_changed = _put(
            Subscription,
            row,
            {"account": account, "stripe_subscription_id": value.stripe_subscription_id},
            {**value.row, "offer": agreed[value.stripe_subscription_id], "synced_at": now},
        )
        changed |= is_changed
        changed |= _write_items(row, value.items)
        if row.needs_review:
            alerts.raise_alert(
                key=f"review:{row.stripe_subscription_id}:{row.review_reason}",
                kind="subscription_needs_review",
                message=f"Subscription {row.stripe_subscription_id} of {account}: {row.review_reason} It "
                f"keeps the plan {row.plan_key!r}. Add the price to the catalog or change the subscription.",
                account=account,
                now=now,
            )
    seen = {value.stripe_subscription_id for value in values}
    gone = [row for key, row in known.items() if key not in seen and row.is_live]
    for row in gone:
        changed |= _end(row, now=now)
    return changed


def _keep_planned_charges(
    values: list[projection.SubscriptionValues], truth: Truth, known: dict[str, Subscription]
) -> None:
    """While a change at once waits for the bank, what is planned has no schedule that Stripe could count with. Unless
    the payment is confirmed it is planned again, so what it was to cost stays the next charge.
    """
    waits = {document["id"] for document in truth.live() if document.get("pending_update")}
    for value in values:
        row = known.get(value.stripe_subscription_id)
        if row is not None and value.stripe_subscription_id in waits:
            value.row["next_charge_amount"] = row.next_charge_amount


def _write_items(subscription: Subscription, items: dict[str, dict[str, Any]]) -> bool:
    known = {item.stripe_item_id: item for item in subscription.items.all()}
    removed = [item.pk for key, item in known.items() if key not in items]
    changed = bool(removed)
    SubscriptionItem.objects.filter(pk__in=removed).delete()
    for key, values in items.items():
        _, is_changed = _put(
            SubscriptionItem,
            known.get(key),
            {"stripe_item_id": key},
            {"subscription": subscription, **values},
        )
        changed |= is_changed
    return changed


def _write_payments(truth: Truth, *, account: Account, now: datetime) -> None:
    documents = {invoice["id"]: invoice for invoice in truth.invoices if invoice["status"] != "draft"}
    known = {
        payment.stripe_invoice_id: payment
        for payment in Payment.objects.filter(stripe_invoice_id__in=documents)
    }
    for key, invoice in documents.items():
        _put(
            Payment,
            known.get(key),
            {"account": account, "stripe_invoice_id": key},
            {**projection.of_payment(invoice, charges=truth.charges), "synced_at": now},
        )
    # Of all that can be said of what was wiped, this is true: it is not owed, and no page to pay it is there.
    Payment.objects.filter(
        account=account, stripe_invoice_id__in=truth.unknown_invoices, status="open"
    ).update(
        status="void", hosted_invoice_url="", invoice_pdf_url="", next_payment_attempt_at=None, synced_at=now
    )
    _write_older_refunds(truth, account=account, seen=list(documents))


def _write_older_refunds(truth: Truth, *, account: Account, seen: list[str]) -> None:
    """What was given back of payments older than the invoices that were asked for: their charges tell it."""
    given = {charge["id"]: charge["amount_refunded"] for charge in truth.charges if charge["amount_refunded"]}
    if given:
        older = Payment.objects.filter(account=account, stripe_charge_id__in=given)
        for payment in older.exclude(stripe_invoice_id__in=seen):
            amount = min(given[payment.stripe_charge_id], payment.amount_paid)
            _put(Payment, payment, {}, {"amount_refunded": amount})


def _write_checkouts(truth: Truth, *, account: Account, now: datetime) -> None:
    for session_id, session in truth.sessions.items():
        intents = CheckoutIntent.objects.filter(
            account=account, stripe_session_id=session_id, state=CheckoutIntent.State.OPEN
        )
        if session["status"] == "complete":
            intents.update(state=CheckoutIntent.State.COMPLETE, completed_at=now)
        elif session["status"] == "expired":
            intents.update(state=CheckoutIntent.State.EXPIRED)


def _write_customer(truth: Truth, *, customer: Customer) -> bool:
    """Whether it pays in another currency than was known: its units are then priced in that."""
    # Of an account that is closed no card comes back by a late letter: Stripe has not forgotten it.
    if truth.customer is None or customer.account.closed_at is not None:
        return False
    currency = truth.customer.get("currency") or ""
    Customer.objects.filter(pk=customer.pk).update(
        currency=currency,
        **projection.of_card(truth.customer, truth.live()),
        card_digest=debtors.digest(truth),
    )
    return currency != customer.currency


def _end_everything(customer: Customer, *, now: datetime) -> bool:
    """The customer was deleted at Stripe, which ended its subscriptions at once."""
    if customer.stripe_customer_id:
        mirror.forget_customer(customer.stripe_customer_id, now=now)
    customers.forget_deleted(customer)
    live = list(Subscription.objects.live().filter(account=customer.account))
    for subscription in live:
        _end(subscription, now=now)
    CheckoutIntent.objects.filter(
        account=customer.account, state__in=[CheckoutIntent.State.OPENING, CheckoutIntent.State.OPEN]
    ).update(state=CheckoutIntent.State.EXPIRED)
    return bool(live)


def _end(subscription: Subscription, *, now: datetime) -> bool:
    subscription.status = subscription.last_known_status = Status.CANCELED
    subscription.status_since = now
    subscription.is_live = False
    subscription.canceled_at = subscription.canceled_at or now
    subscription.ended_at = subscription.ended_at or now
    subscription.first_failed_at = None
    subscription.next_charge_amount = None
    subscription.synced_at = now
    subscription.save()
    return True


def _put(
    table: type[Row], row: Row | None, identity: dict[str, Any], values: dict[str, Any]
) -> tuple[Row, bool]:
    """Insert or update, touching only what differs. Answers the row and whether more than bookkeeping changed."""
    if row is None:
        return table._default_manager.create(**identity, **values), True
    different = [name for name, value in values.items() if getattr(row, name) != value]
    for name in different:
        setattr(row, name, values[name])
    if different:
        row.save(update_fields=different)
    return row, any(name not in BOOKKEEPING for name in different)


def _remembered_lookup_key(stripe_price_id: str) -> str:
    """What a price was called when last seen: a lookup key can be moved to a newer price at Stripe."""
    return (
        SubscriptionItem.objects.filter(stripe_price_id=stripe_price_id)
        .exclude(plan_key="")
        .values_list("lookup_key", flat=True)
        .first()
    ) or ""
