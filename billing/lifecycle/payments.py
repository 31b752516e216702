"""Money given back: once per invoice, whoever asks how often."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from billing import effects
from billing.lifecycle.lease import Held
from billing.models import Effect
from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc


class NothingToRefund(Exception):
    """Nothing was paid on this invoice by card, so there is nothing to give back."""


def refund(*, account: Account, invoice: Doc, reason: str, held: Held, now: datetime) -> bool:
    """Give back all that was paid on `invoice` (a document with `payments` expanded), under the account's lease.

    Answers False when it had been given back before. `reason` is for our own record, `now` the account's time.
    Raises NothingToRefund, LeaseLost and the gateway's errors. Once per invoice: by the idempotency key for a
    day, by the Effect row for ever, and by Stripe, which refuses to give back more than was paid.
    """
    key = f"refund:{invoice['id']}"
    if Effect.objects.filter(key=key).exists():
        return False
    targets = _targets(invoice)
    if not targets:
        raise NothingToRefund(f"Nothing was paid by card on {invoice['id']}.")
    for number, target in enumerate(targets):
        _give_back({**target, "metadata": {"tallyhouse_invoice": invoice["id"]}}, f"{key}:{number}")
    with held.saving():
        effects.once(key=key, kind="refund", account=account, now=now, detail={"reason": reason})
    return True


def _targets(invoice: Doc) -> list[dict[str, Any]]:
    """What a refund can name: the payments that went through (https://docs.stripe.com/api/refunds/create)."""
    through = [
        payment["payment"]
        for payment in shapes.entries(invoice.get("payments"))
        if payment.get("status") == "paid"
    ]
    found = [("payment_intent", shapes.id_of(payment.get("payment_intent"))) for payment in through]
    found += [("charge", shapes.id_of(payment.get("charge"))) for payment in through]
    return [{kind: reference} for kind, reference in found if reference]


def _give_back(params: dict[str, Any], key: str) -> None:
    try:
        gateway.post("/v1/refunds", params, idempotency_key=key)
    except gateway.InvalidRequest as error:
        if error.code != "charge_already_refunded":
            raise
