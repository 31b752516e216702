"""Two tabs paid at once: one subscription stays, the others are canceled and refunded, and staff are told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Account
from billing import alerts
from billing.lifecycle import payments
from billing.lifecycle.lease import Held
from billing.models import Effect
from billing.stripe import gateway, shapes
from billing.stripe.shapes import known_moment
from billing.stripe.truth import Truth

KIND = "duplicate_subscription"
# So young a second subscription is an accident at the till, whose payments go back without asking anybody.
ACCIDENT = timedelta(days=3)


def resolve(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """End every live subscription but one at Stripe. Answers True when something was done: then ask anew.

    What is to be ended is written down first, so that a crash between the cancellation and the refund is made
    good by the next sync. One that has been paid for a while is left to staff: months of payments are not
    refunded by a program. `now` is the account's time. Raises LeaseLost and the gateway's errors.
    """
    for subscription in truth.surplus():
        if now - known_moment(subscription["created"]) < ACCIDENT:
            _write_down(subscription, account=account, held=held, now=now)
        else:
            _tell_of_two(subscription, account=account, now=now)
    owed = list(Effect.objects.filter(account=account, kind=KIND, done_at__isnull=True).order_by("pk"))
    for effect in owed:
        _end(effect, account=account, held=held, now=now)
    return bool(owed)


def key_of(subscription_id: str) -> str:
    """Names, among the effects, a second subscription that was ended."""
    return f"duplicate:{subscription_id}"


def _tell_of_two(subscription: dict[str, Any], *, account: Account, now: datetime) -> None:
    alerts.raise_alert(
        key=f"two_subscriptions:{subscription['id']}",
        kind="two_subscriptions",
        message=f"{account} has a second live subscription, {subscription['id']}, for more than "
        f"{ACCIDENT.days} days. Only one counts. End the other at Stripe and refund what is due.",
        account=account,
        now=now,
    )


def _write_down(subscription: dict[str, Any], *, account: Account, held: Held, now: datetime) -> None:
    with held.saving():
        Effect.objects.get_or_create(
            key=key_of(subscription["id"]),
            defaults={
                "kind": KIND,
                "account": account,
                "detail": {"subscription": subscription["id"], "status": subscription["status"]},
                "created_at": now,
            },
        )
        alerts.raise_alert(
            key=key_of(subscription["id"]),
            kind=KIND,
            message=f"{account} had more than one live subscription. {subscription['id']} is being "
            "canceled and what was paid for it refunded; the older one stays.",
            account=account,
            now=now,
        )


def _end(effect: Effect, *, account: Account, held: Held, now: datetime) -> None:
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
            _refund(invoice, account=account, held=held, now=now)
    with held.saving():
        Effect.objects.filter(pk=effect.pk).update(done_at=now)


def _refund(invoice: dict[str, Any], *, account: Account, held: Held, now: datetime) -> None:
    """What Stripe refuses today it refuses tomorrow: a person sees to it, and the account's sync goes on."""
    try:
        payments.refund(account=account, invoice=invoice, reason="duplicate subscription", held=held, now=now)
    except (gateway.InvalidRequest, payments.NothingToRefund) as refusal:
        with held.saving():
            alerts.raise_alert(
                key=f"refund_by_hand:{invoice['id']}",
                kind="refund_by_hand",
                message=f"{account} paid {invoice['id']} for a second subscription, which is canceled, and the "
                f"refund was refused: {refusal} Refund it by hand at Stripe.",
                account=account,
                now=now,
            )


def _cancel(subscription_id: str) -> None:
    """At once, without a credit: the refund gives back everything."""
    try:
        found = gateway.get(f"/v1/subscriptions/{subscription_id}")
        if found["status"] not in ("canceled", "incomplete_expired"):
            gateway.delete(f"/v1/subscriptions/{subscription_id}", {"prorate": False, "invoice_now": False})
    except gateway.NotFound:
        return  # ended by somebody else in between, which is what was wanted
