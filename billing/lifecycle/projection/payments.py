"""A payment and a card, as an invoice and a customer at Stripe show them."""

from __future__ import annotations

from typing import Any

from billing.stripe import shapes
from billing.stripe.shapes import Doc, id_of, known_moment, moment


def of_payment(invoice: Doc, *, charges: list[dict[str, Any]]) -> dict[str, Any]:
    """The Payment row of one invoice; `charges` are the customer's, for what was given back."""
    intents = shapes.invoice_payment_intent_ids(invoice)
    named = set(shapes.invoice_charge_ids(invoice))
    ours = [
        charge
        for charge in charges
        if charge["id"] in named or (id_of(charge.get("payment_intent")) in intents and intents)
    ]
    paid = next((charge for charge in ours if charge["status"] == "succeeded"), None)
    start, end = shapes.invoice_period(invoice)
    # Of an old invoice whose charges are not among the newest, what was seen of them before stays.
    charged = {
        "stripe_charge_id": paid["id"] if paid else "",
        # More than was paid on this invoice cannot be given back for it (a charge may pay several).
        "amount_refunded": min(sum(charge["amount_refunded"] for charge in ours), invoice["amount_paid"]),
    }
    return {
        **(charged if ours else {}),
        "stripe_subscription_id": shapes.invoice_subscription_id(invoice),
        "stripe_payment_intent_id": intents[-1] if intents else "",
        "number": invoice.get("number") or "",
        "status": invoice["status"],
        "billing_reason": invoice.get("billing_reason") or "",
        "description": _description(invoice),
        "currency": invoice["currency"],
        "amount_due": invoice["amount_due"],
        "amount_paid": invoice["amount_paid"],
        "attempt_count": invoice["attempt_count"],
        "next_payment_attempt_at": moment(invoice.get("next_payment_attempt")),
        "due_at": moment(invoice.get("due_date")),
        "period_start": start,
        "period_end": end,
        "created_at": known_moment(invoice["created"]),
        "paid_at": shapes.invoice_paid_at(invoice),
        "hosted_invoice_url": invoice.get("hosted_invoice_url") or "",
        "invoice_pdf_url": invoice.get("invoice_pdf") or "",
    }


def _description(invoice: Doc) -> str:
    lines = [line["description"] for line in shapes.entries(invoice.get("lines")) if line.get("description")]
    return str(invoice.get("description") or "; ".join(lines))[:300]


def of_card(customer: Doc, subscriptions: list[dict[str, Any]]) -> dict[str, Any]:
    """The default card's face, for the Customer row; empty when there is none or it is not a card."""
    method = shapes.default_card(customer, subscriptions) or {}
    card = method.get("card") or {}
    return {
        "card_brand": card.get("brand") or (method.get("type") or "" if method else ""),
        "card_last4": card.get("last4") or "",
        "card_exp_month": card.get("exp_month"),
        "card_exp_year": card.get("exp_year"),
    }
