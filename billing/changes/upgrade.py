"""More than before, at once: paid first, and without the payment everything stays as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from billing.changes import request, waiting
from billing.changes.wishes import Wish
from billing.lifecycle import subscriptions
from billing.lifecycle.lease import Held
from billing.models import PlanChange
from billing.stripe import gateway, shapes

DECLINED = "The card was declined"


def pay_and_change(
    change: PlanChange, wish: Wish, ids: dict[str, str], *, prorated_at: int, held: Held
) -> None:
    """Ask Stripe for the change on condition that its invoice is paid, under the account's lease.

    Paid: the sync that follows sees it and says so on `change`. The bank wants to see the customer: WAITING, with the
    page for it. Declined: the invoice is voided, which gives the change up, and `change` FAILED with the reason.
    https://docs.stripe.com/billing/subscriptions/pending-updates
    """
    path = f"/v1/subscriptions/{change.stripe_subscription_id}"
    asked = {
        **request.update(wish, ids, prorated_at=prorated_at),
        "payment_behavior": "pending_if_incomplete",
    }
    try:
        answer = gateway.post(path, asked, idempotency_key=f"change:{change.nonce}")
    except gateway.CardDeclined as refusal:
        _fail(change, refusal.message, held=held)
        return
    except gateway.InvalidRequest as refusal:
        _fail(change, f"Stripe did not accept the change: {refusal.message}", held=held)
        return
    if answer.get("pending_update") is None:
        return
    held.renew()
    invoice = gateway.get(f"/v1/invoices/{shapes.id_of(answer['latest_invoice'])}", {"expand": ["payments"]})
    intent = _intent(invoice)
    if intent.get("status") in ("requires_action", "processing"):
        _wait(change, invoice, held=held)
        return
    held.renew()
    waiting.void(invoice["id"], held=held)
    reason = ((intent.get("last_payment_error") or {}).get("message")) or f"{DECLINED}."
    _fail(change, reason, held=held)


def call_off(*, account: Account, change: PlanChange, now: datetime) -> None:
    """Give up a change that waits for its payment. Raises NothingToChange, Busy and the gateway's errors."""
    with subscriptions.acting(account=account, purpose="call_off") as held:
        change.refresh_from_db()
        if change.state != PlanChange.State.WAITING:
            raise subscriptions.NothingToChange("This change does not wait for anything any more.")
        waiting.call_off(change, held=held)
    change.refresh_from_db()


def _intent(invoice: dict[str, Any]) -> dict[str, Any]:
    names = shapes.invoice_payment_intent_ids(invoice)
    return gateway.get(f"/v1/payment_intents/{names[-1]}") if names else {}


def _wait(change: PlanChange, invoice: dict[str, Any], *, held: Held) -> None:
    with held.saving():
        PlanChange.objects.filter(pk=change.pk).update(
            state=PlanChange.State.WAITING,
            stripe_invoice_id=invoice["id"],
            invoice_url=invoice.get("hosted_invoice_url") or "",
        )


def _fail(change: PlanChange, reason: str, *, held: Held) -> None:
    with held.saving():
        PlanChange.objects.filter(pk=change.pk).update(
            state=PlanChange.State.FAILED, failure=reason[:300], finished_at=change.created_at
        )
