"""Which payments a bank asks for, or has taken back: written on each as Stripe's disputes say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.models import Account
from billing.models import Payment
from billing.stripe import shapes
from billing.stripe.disputes import STATES
from billing.stripe.shapes import Doc
from billing.stripe.truth import Disputes

NOTHING: dict[str, Any] = {"dispute_state": "", "amount_taken_back": 0, "taken_back_at": None}


def note(account: Account, *, said: Disputes) -> None:
    """In the transaction that writes the rest. A payment that was not asked about keeps what is known of it."""
    marked = set()
    # The gravest last, so that it is what stays.
    for dispute in sorted(said.found, key=lambda one: one["status"] == "lost"):
        if dispute["status"] not in STATES:
            continue
        named = Q(stripe_charge_id=shapes.id_of(dispute["charge"]))
        if intent := shapes.id_of(dispute.get("payment_intent")):
            named |= Q(stripe_payment_intent_id=intent)
        for payment in Payment.objects.filter(named, account=account, status="paid"):
            marked.add(payment.pk)
            _put(payment, _facts(dispute, payment))
    asked = Q(stripe_charge_id__in=said.payments) | Q(stripe_payment_intent_id__in=said.payments)
    known = Payment.objects.filter(asked, account=account).exclude(dispute_state="")
    for payment in known.exclude(pk__in=marked):
        _put(payment, NOTHING)


def _facts(dispute: Doc, payment: Payment) -> dict[str, Any]:
    state = STATES[dispute["status"]]
    if state != "lost":
        return {**NOTHING, "dispute_state": state}
    return {
        "dispute_state": state,
        # A charge may have paid several invoices; no more than was paid for this one is missing in it.
        "amount_taken_back": min(dispute["amount"], payment.amount_paid - payment.amount_refunded),
        "taken_back_at": _taken_at(dispute),
    }


def _taken_at(dispute: Doc) -> datetime:
    """The bank takes the money when it asks, and keeps it when it is lost."""
    moved = [entry["created"] for entry in dispute.get("balance_transactions") or [] if entry["amount"] < 0]
    return shapes.known_moment(min(moved, default=dispute["created"]))


def _put(payment: Payment, facts: dict[str, Any]) -> None:
    Payment.objects.filter(pk=payment.pk).update(**facts)
