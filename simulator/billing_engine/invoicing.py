"""Invoices as drafts: their lines, the items that waited for them, discounts and taxes added up."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import asking, discounts, lines, periods, taxing
from simulator.shapes import Obj, empty_list, id_of, new

if TYPE_CHECKING:
    from simulator.core import Simulator

# A renewal waits an hour as a draft so that late changes still get in
# (docs.stripe.com/billing/subscriptions/invoices).
DRAFT_SECONDS = 3600


def draft(
    sim: "Simulator",
    *,
    customer: Obj,
    found_lines: list[Obj],
    reason: str,
    subscription: Obj | None = None,
    currency: str | None = None,
    period: tuple[int, int] | None = None,
    takes_pending: bool = True,
    is_preview: bool = False,
    waits: bool = False,
) -> Obj:
    """A draft invoice, kept but not yet spoken of; `waits` leaves it a draft for an hour.

    A preview is neither kept nor does it take the pending invoice items away from the next real one.
    """
    now = sim.clock.now(customer)
    source = subscription or {}
    invoice = new(
        "invoice",
        account_country="US",
        account_name="Simulated shop",
        auto_advance=True,
        automatic_tax=automatic_tax(source),
        automatically_finalizes_at=now + DRAFT_SECONDS if waits else None,
        billing_reason=reason,
        collection_method=source.get("collection_method") or "charge_automatically",
        created=now,
        currency=currency or source.get("currency") or "usd",
        customer=customer["id"],
        customer_address=customer["address"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        customer_phone=customer["phone"],
        customer_shipping=customer["shipping"],
        customer_tax_exempt=customer["tax_exempt"],
        customer_tax_ids=[
            {"type": one["type"], "value": one["value"]}
            for one in sim.store.find("tax_id", "customer", customer["id"])
        ],
        default_tax_rates=list(source.get("default_tax_rates") or []),
        description=source.get("description"),
        discounts=list(source.get("discounts") or []),
        issuer={"type": "self"},
        metadata={},
        parent=_parent(subscription),
        period_start=period[0] if period else now,
        period_end=period[1] if period else now,
        starting_balance=customer["balance"],
        status="draft",
        test_clock=customer["test_clock"],
        total_taxes=[],
    )
    invoice["payment_settings"] = {
        "default_mandate": None,
        "payment_method_options": None,
        "payment_method_types": None,
    }
    if subscription is None and customer["discount"]:
        invoice["discounts"] = [customer["discount"]]
    invoice["lines"] = empty_list(f"/v1/invoices/{invoice['id']}/lines")
    invoice["_"] = {"attempts": 0, "final": False}
    if takes_pending:
        found_lines = _pending(sim, invoice, customer, subscription, is_preview=is_preview) + found_lines
    for line in found_lines:
        line["invoice"] = invoice["id"]
    invoice["lines"]["data"] = found_lines
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = now + (source.get("days_until_due") or 30) * periods.DAY
    total_up(sim, invoice)
    return invoice if is_preview else sim.save(invoice)


def announce(sim: "Simulator", invoice: Obj) -> None:
    """Says that a draft exists."""
    events.emit(sim, "invoice.created", invoice)


def total_up(sim: "Simulator", invoice: Obj) -> None:
    """Adds up the lines, takes off discounts, adds tax, and takes off the customer's credit."""
    found_lines = invoice["lines"]["data"]
    subtotal = sum(line["amount"] for line in found_lines)
    discounted = subtotal - discounts.apply(sim, invoice)
    added, included = taxing.apply(sim, invoice)
    total = discounted + added
    due = max(0, total + invoice["starting_balance"]) if total > 0 else 0
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_excluding_tax": discounted - included,
        "amount_due": due,
        "amount_remaining": due - invoice["amount_paid"],
    }


def subscription_of(sim: "Simulator", invoice: Obj) -> Obj | None:
    """The subscription an invoice is for."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return sim.store.get("subscription", id_of(details.get("subscription")))


def payment_of(sim: "Simulator", invoice: Obj) -> Obj | None:
    """The payment intent an invoice has of its own."""
    for found in reversed(sim.store.find("invoice_payment", "invoice", invoice["id"])):
        if not found["is_default"]:
            continue
        payment = sim.store.get("payment_intent", found["payment"]["payment_intent"])
        if payment is not None:
            return payment
    return None


def item_line(sim: "Simulator", item: Obj) -> Obj:
    """An invoice item as the line it becomes."""
    details = (item["parent"] or {}).get("subscription_details") or {}
    price = sim.store.get("price", item["pricing"]["price_details"]["price"]) if item["pricing"] else None
    line = lines.line(
        price=(asking.whole(price, item["currency"]) if price else None)
        or {
            "currency": item["currency"],
            "unit_amount_decimal": str(item["amount"]),
            "id": "",
            "product": "",
        },
        quantity=item["quantity"],
        amount=item["amount"],
        period=(item["period"]["start"], item["period"]["end"]),
        description=item["description"] or "",
        subscription=details.get("subscription"),
        item=details.get("subscription_item"),
        is_proration=item["proration"],
        invoice_item=item["id"],
        metadata=item["metadata"],
        tax_rates=item["tax_rates"],
    )
    if price is None:
        line["pricing"] = None
    line["discountable"] = item["discountable"]
    return line


def _pending(
    sim: "Simulator", invoice: Obj, customer: Obj, subscription: Obj | None, *, is_preview: bool
) -> list[Obj]:
    taken = []
    for item in sim.store.find("invoiceitem", "customer", customer["id"]):
        details = (item["parent"] or {}).get("subscription_details") or {}
        owner = details.get("subscription")
        is_ours = owner is None or (subscription is not None and owner == subscription["id"])
        if item["invoice"] is not None or not is_ours or item["currency"] != invoice["currency"]:
            continue
        taken.append(item_line(sim, item))
        if not is_preview:
            item["invoice"] = invoice["id"]
            sim.save(item)
    return taken


def automatic_tax(source: Obj) -> Obj:
    """The `automatic_tax` of an invoice, as asked for by what it is made from."""
    asked = bool((source.get("automatic_tax") or {}).get("enabled"))
    return {
        "disabled_reason": None,
        "enabled": asked,
        "liability": {"type": "self"} if asked else None,
        "provider": "stripe" if asked else None,
        "status": "complete" if asked else None,
    }


def _parent(subscription: Obj | None) -> Obj | None:
    if subscription is None:
        return None
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
