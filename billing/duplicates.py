"""Two tabs paid at once: one subscription stays, the others are canceled and refunded, and staff are told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account
from billing import alerts, clock, payments
from billing.lease import Held
from billing.models import Effect
from billing.stripe import gateway, shapes
from billing.stripe.shapes import known_moment
from billing.stripe.truth import Truth

KIND = "duplicate_subscription"
# So young a second subscription is an accident at the till, whose payments go back without asking anybody.
ACCIDENT = timedelta(days=3)


def resolve(truth: Truth, *, account: Account, held: Held) -> bool:
    """End every live subscription but one at Stripe. Answers True when something was done: then ask anew.

    What is to be ended is written down first, so that a crash between the cancellation and the refund is made
    good by the next sync. One that has been paid for a while is left to staff: months of payments are not
    refunded by a program. Raises LeaseLost and the gateway's errors.
    """
    now = truth.clock_now or clock.now(account)
    for subscription in truth.surplus():
        if now - known_moment(subscription["created"]) < ACCIDENT:
            _write_down(subscription, account=account, held=held)
        else:
            _tell_of_two(subscription, account=account, now=now)
    owed = list(Effect.objects.filter(account=account, kind=KIND, done_at__isnull=True).order_by("pk"))
    for effect in owed:
        _end(effect, account=account, held=held)
    return bool(owed)


def _tell_of_two(subscription: dict[str, Any], *, account: Account, now: datetime) -> None:
    alerts.raise_alert(
        key=f"two_subscriptions:{subscription['id']}",
        kind="two_subscriptions",
        message=f"{account} has a second live subscription, {subscription['id']}, for more than "
        f"{ACCIDENT.days} days. Only one counts. End the other at Stripe and refund what is due.",
        account=account,
        now=now,
    )


def _write_down(subscription: dict[str, Any], *, account: Account, held: Held) -> None:
    now = clock.now(account)
    with held.saving():
        Effect.objects.get_or_create(
            key=f"duplicate:{subscription['id']}",
            defaults={
                "kind": KIND,
                "account": account,
                "detail": {"subscription": subscription["id"], "status": subscription["status"]},
                "created_at": now,
            },
        )
        alerts.raise_alert(
            key=f"duplicate:{subscription['id']}",
            kind=KIND,
            message=f"{account} had more than one live subscription. {subscription['id']} is being "
            "canceled and what was paid for it refunded; the older one stays.",
            account=account,
            now=now,
        )


def _end(effect: Effect, *, account: Account, held: Held) -> None:
    subscription_id = effect.detail["subscription"]
    invoices = list(
        gateway.pages(
            "/v1/invoices", {"subscription": subscription_id, "expand": ["data.payments"]}, at_most=20
        )
    )
    held.renew()
    _cancel(subscription_id)
    for invoice in invoices:
        if shapes.invoice_is_paid(invoice) and invoice["amount_paid"] > 0:
            held.renew()
            payments.refund(account=account, invoice=invoice, reason="duplicate subscription", held=held)
    with held.saving():
        Effect.objects.filter(pk=effect.pk).update(done_at=clock.now(account))


def _cancel(subscription_id: str) -> None:
    """At once, without a credit: the refund gives back everything."""
    try:
        found = gateway.get(f"/v1/subscriptions/{subscription_id}")
        if found["status"] not in ("canceled", "incomplete_expired"):
            gateway.delete(f"/v1/subscriptions/{subscription_id}", {"prorate": False, "invoice_now": False})
    except gateway.NotFound:
        return  # ended by somebody else in between, which is what was wanted
