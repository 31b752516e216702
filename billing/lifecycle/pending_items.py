"""What waits at Stripe for a customer's next invoice: what staff billed, and seats taken or left midway."""

from __future__ import annotations

from billing.stripe import gateway, shapes
from billing.stripe.shapes import Doc

MOST_ITEMS = 1000


def of(stripe_customer_id: str | None) -> list[Doc]:
    """All of them, asked for at Stripe. Raises the gateway's errors."""
    if not stripe_customer_id:
        return []
    wanted = {"customer": stripe_customer_id, "pending": True}
    return list(gateway.pages("/v1/invoiceitems", wanted, at_most=MOST_ITEMS))


def subscription_of(item: Doc) -> str:
    """Whose next invoice it waits for; empty: for any of the customer's."""
    details = (item.get("parent") or {}).get("subscription_details") or {}
    return shapes.id_of(details.get("subscription")) or ""


def sums(items: list[Doc]) -> dict[str, int]:
    """What they come to before taxes, in each currency."""
    found: dict[str, int] = {}
    for item in items:
        found[item["currency"]] = found.get(item["currency"], 0) + item["amount"]
    return found
