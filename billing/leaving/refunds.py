"""A payment given back by staff, in full or in part, with a reason; once for each time the button is pressed."""

from __future__ import annotations

from billing import clock, effects
from billing.lifecycle import subscriptions
from billing.lifecycle.subscriptions import Busy
from billing.models import Effect, Payment
from billing.stripe import gateway

__all__ = ["Busy", "NotRefundable", "refund", "refundable", "why_not"]


class NotRefundable(Exception):
    """So much cannot be given back of this payment. The text is for staff."""


def refundable(payment: Payment) -> int:
    """What may still be given back, in minor units of the payment's currency.

    Nothing while a bank asks for it or when it has taken it: Stripe refuses
    (https://docs.stripe.com/disputes/responding), and nobody is to have it twice.
    """
    if (
        payment.dispute_state
        or payment.status != "paid"
        or not (payment.stripe_payment_intent_id or payment.stripe_charge_id)
    ):
        return 0
    return payment.amount_paid - payment.amount_refunded


def why_not(payment: Payment) -> str:
    """Why nothing can be given back, for staff; "" when something can."""
    if payment.dispute_state == "lost" and payment.taken_back_at:
        return f"The bank has taken this payment back on {payment.taken_back_at:%-d %B %Y}."
    if payment.dispute_state:
        return "A bank asks for this payment back; until that is decided Stripe gives nothing back."
    return "" if refundable(payment) else "Nothing of this payment can be given back."


def refund(*, payment: Payment, amount: int, reason: str, nonce: str) -> None:
    """Give `amount` minor units back to where they came from. `nonce` names this act: sent again it is done once.

    What it does to the plan is decided by the sync that follows: all of the first payment in its money-back days
    ends it. Raises NotRefundable, Busy and the gateway's errors.
    """
    account, key = payment.account, f"staff_refund:{nonce}"
    with subscriptions.acting(account=account, purpose="refund") as held:
        if Effect.objects.filter(key=key).exists():
            return
        payment.refresh_from_db()
        if not 0 < amount <= refundable(payment):
            raise NotRefundable(
                why_not(payment) or f"At most {refundable(payment)} can be given back of this payment."
            )
        target = (
            {"payment_intent": payment.stripe_payment_intent_id}
            if payment.stripe_payment_intent_id
            else {"charge": payment.stripe_charge_id}
        )
        try:
            gateway.post(
                "/v1/refunds",
                {**target, "amount": amount, "metadata": {"tallyhouse_invoice": payment.stripe_invoice_id}},
                idempotency_key=key,
            )
        except gateway.InvalidRequest as refusal:
            raise NotRefundable(str(refusal)) from refusal
        with held.saving():
            effects.once(
                key=key,
                kind="staff_refund",
                account=account,
                now=clock.now(account),
                detail={"invoice": payment.stripe_invoice_id, "amount": amount, "reason": reason},
            )
