"""Invoices collected no more because a dispute was lost: which we stopped, and that drafts go on afterwards."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from accounts.models import Account
from billing.lifecycle import dispute_alerts
from billing.lifecycle.lease import Held
from billing.models import Effect
from billing.stripe import gateway, shapes

KIND = "dispute_stops"


def stop(invoices: list[dict[str, Any]], *, account: Account, held: Held, now: datetime) -> bool:
    """What is drafted or being retried is not charged any more; it stays to be paid by who wants to.

    Answers whether something was done at Stripe. Raises LeaseLost and the gateway's errors.
    """
    running = [
        one
        for one in invoices
        if one["status"] in ("draft", "open")
        and one["auto_advance"]
        and one["total"] > 0
        # One that was sent waits for who wants to pay it.
        and (one["status"] == "draft" or one["collection_method"] == "charge_automatically")
    ]
    did = False
    for invoice in running:
        if invoice["status"] == "draft":
            _write_down(invoice["id"], account=account, held=held, now=now)
        held.renew()
        try:
            gateway.post(
                f"/v1/invoices/{invoice['id']}",
                {"auto_advance": False},
                idempotency_key=f"{KIND}:{invoice['id']}:{held.token}",
            )
            did = True
        except gateway.InvalidRequest as refusal:
            what = f"stop collecting {invoice['id']}"
            dispute_alerts.not_ended(
                invoice["id"], what, refusal.message, account=account, held=held, now=now
            )
    return did


def go_on(live: Collection[str], *, account: Account, held: Held, now: datetime) -> bool:
    """The hold is over: a draft that we stopped is finished by Stripe as before, as nobody else can see it.

    Only of subscriptions that are `live`, by id: what a plan that is over did not give is not charged. An open invoice
    waits on Billing for who wants to pay it. Answers whether something was done at Stripe.
    """
    did = False
    for stopped in Effect.objects.filter(account=account, kind=KIND, done_at=None):
        name = stopped.detail["invoice"]
        held.renew()
        try:
            invoice = gateway.get(f"/v1/invoices/{name}")
            if _is_to_go_on(invoice, live):
                key = f"{stopped.key}:back:{held.token}"
                gateway.post(f"/v1/invoices/{name}", {"auto_advance": True}, idempotency_key=key)
                did = True
        except gateway.InvalidRequest as refusal:
            # Deleted meanwhile, there is nothing to finish.
            if not isinstance(refusal, gateway.NotFound):
                dispute_alerts.not_finished(name, refusal.message, account=account, held=held, now=now)
        with held.saving():
            Effect.objects.filter(pk=stopped.pk).update(done_at=now)
    return did


def _is_to_go_on(invoice: dict[str, Any], live: Collection[str]) -> bool:
    is_stopped = invoice["status"] == "draft" and not invoice["auto_advance"]
    return is_stopped and shapes.invoice_subscription_id(invoice) in live


def _write_down(name: str, *, account: Account, held: Held, now: datetime) -> None:
    with held.saving():
        Effect.objects.update_or_create(
            key=f"{KIND}:{name}",
            defaults={
                "kind": KIND,
                "account": account,
                "created_at": now,
                "done_at": None,
                "detail": {"invoice": name},
            },
        )
