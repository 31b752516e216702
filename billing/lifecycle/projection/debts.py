"""What was paid, what is owed and since when: grace counts from the first failure and is moved by no retry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing.models import Subscription
from billing.stripe import shapes
from billing.stripe.shapes import Doc, id_of, known_moment, moment
from billing.stripe.truth import Truth

DELINQUENT = ("past_due", "unpaid")


def of(
    subscription: Doc,
    invoices: list[dict[str, Any]],
    *,
    truth: Truth,
    known: Subscription | None,
    now: datetime,
) -> dict[str, Any]:
    """The columns about money of a subscription whose invoices these are. `now` is the account's time."""
    debt = _present_debt(invoices)
    still_open = next((invoice for invoice in invoices if invoice["status"] == "open"), None)
    due = [at for invoice in debt if (at := moment(invoice.get("due_date"))) is not None]
    paid = [
        paid_at
        for invoice in invoices
        if invoice["amount_paid"] > 0 and (paid_at := shapes.invoice_paid_at(invoice)) is not None
    ]
    if known is not None and known.first_paid_at is not None:
        paid.append(known.first_paid_at)
    preview = truth.previews.get(subscription["id"])
    return {
        "first_failed_at": _first_failed_at(subscription, debt, truth=truth, known=known, now=now),
        "first_paid_at": min(paid, default=None),
        "latest_invoice_id": id_of(subscription.get("latest_invoice")),
        "open_invoice_url": (still_open or {}).get("hosted_invoice_url") or "",
        # The first to fall due: a newer invoice that is not paid either gives nobody more time.
        "open_invoice_due_at": min(due, default=None) if still_open else None,
        "next_payment_attempt_at": moment((still_open or {}).get("next_payment_attempt")),
        "next_charge_amount": preview["amount_due"] if preview else None,
    }


def _present_debt(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is unpaid since the last invoice that was paid; an older one that Stripe gave up on is another story.

    By when they were final, not when they were begun: a change that is paid in the hour in which a renewal is still a
    draft says nothing about the renewal.
    """
    debt = []
    for invoice in sorted(invoices, key=_final_at, reverse=True):
        if shapes.invoice_is_paid(invoice):
            break
        if invoice["status"] in ("open", "uncollectible"):
            debt.append(invoice)
    return debt


def _final_at(invoice: Doc) -> datetime:
    return shapes.invoice_finalized_at(invoice) or known_moment(invoice["created"])


def _first_failed_at(
    subscription: Doc,
    debt: list[dict[str, Any]],
    *,
    truth: Truth,
    known: Subscription | None,
    now: datetime,
) -> datetime | None:
    """When the open delinquency began. Set once, not moved by retries, gone when paid (INV20)."""
    if subscription["status"] not in DELINQUENT:
        return None
    first = known.first_failed_at if known else None
    # Everything unpaid is younger than the failure we know: that one was paid while nobody looked.
    is_over = first is not None and debt and known_moment(debt[-1]["created"]) > first
    if first is not None and not is_over:
        return first
    moments = [_failed_at(invoice, truth) for invoice in debt]
    return min((at for at in moments if at is not None), default=now)


def _failed_at(invoice: Doc, truth: Truth) -> datetime | None:
    """The first refused charge; without one, the moment payment was first tried or due."""
    if invoice.get("collection_method") == "send_invoice":
        return moment(invoice.get("due_date"))
    intents = set(shapes.invoice_payment_intent_ids(invoice))
    refused = [
        known_moment(charge["created"])
        for charge in truth.charges
        if charge["status"] == "failed" and id_of(charge.get("payment_intent")) in intents
    ]
    return min(refused, default=None) or shapes.invoice_finalized_at(invoice)
