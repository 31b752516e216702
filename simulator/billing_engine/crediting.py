"""Credit notes: an invoice made smaller after it is final, before it is paid or by giving money back
(docs.stripe.com/invoicing/integration/programmatic-credit-notes).
"""

from typing import TYPE_CHECKING, Any

from simulator import events
from simulator.billing_engine import balance, collection, invoicing, money
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def draft(sim: "Simulator", invoice: Obj, params: Params) -> Obj:
    """The credit note as it would be; nothing is kept. Raises 400 for more than the invoice has left."""
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise invalid(
            f"You can only create credit notes for finalized invoices; this one is {invoice['status']}."
        )
    found_lines = [_line(invoice, given) for given in params.each("lines")] or [_whole(params)]
    subtotal = sum(line["amount"] for line in found_lines)
    discount = sum(line["discount_amount"] for line in found_lines)
    added = sum(
        tax["amount"] for line in found_lines for tax in line["taxes"] if tax["tax_behavior"] == "exclusive"
    )
    total = subtotal - discount + added
    before = _credited(sim, invoice)
    if total < 1 or total > invoice["total"] - before:
        raise invalid(
            f"The sum of credit notes on the invoice, {before + total}, must be positive and at most the "
            f"amount of the invoice, {invoice['total']}.",
            param="amount",
        )
    unpaid = min(total, invoice["amount_remaining"])
    note = new(
        "credit_note",
        amount=total,
        created=sim.clock.now(invoice),
        currency=invoice["currency"],
        customer=invoice["customer"],
        discount_amount=discount,
        effective_at=params.integer("effective_at") or sim.clock.now(invoice),
        invoice=invoice["id"],
        memo=params.text("memo"),
        metadata=params.metadata(),
        number=f"{invoice['number']}-CN-{len(sim.store.find('credit_note', 'invoice', invoice['id'])) + 1:02d}",
        post_payment_amount=total - unpaid,
        pre_payment_amount=unpaid,
        reason=params.text("reason"),
        status="issued",
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        total=total,
        total_excluding_tax=subtotal - discount,
        total_taxes=[tax for line in found_lines for tax in line["taxes"]],
        type="pre_payment" if unpaid == total else "post_payment" if not unpaid else "mixed",
    )
    note["pdf"] = f"{sim.base_url}/i/{invoice['id']}/pdf?credit_note={note['id']}"
    note["lines"] |= {"data": found_lines, "url": f"/v1/credit_notes/{note['id']}/lines"}
    note["_"] = _shares(note, params)
    note["out_of_band_amount"] = note["_"]["outside"] or None
    return note


def issue(sim: "Simulator", invoice: Obj, note: Obj) -> Obj:
    """Lets a draft take hold: less is owed, or money goes back to the card or to the customer's credit."""
    from simulator.resources import refunds

    customer = sim.store.get("customer", invoice["customer"]) or {}
    sim.save(note)
    shares = note["_"]
    if shares["refund"]:
        payment = invoicing.payment_of(sim, invoice)
        charge = sim.store.get("charge", payment["latest_charge"]) if payment else None
        if charge is None:
            raise invalid(
                "This invoice was not paid by a charge that could be refunded.", param="refund_amount"
            )
        refund = refunds.make(sim, charge, amount=shares["refund"])
        note["refunds"] = [
            {
                "amount_refunded": shares["refund"],
                "payment_record_refund": None,
                "refund": refund["id"],
                "type": "refund",
            }
        ]
    if shares["credit"]:
        moved = balance.move(
            sim,
            customer,
            -shares["credit"],
            "credit_note",
            currency=invoice["currency"],
            invoice=invoice["id"],
            credit_note=note["id"],
        )
        note["customer_balance_transaction"] = moved["id"]
    sim.save(note)
    events.emit(sim, "credit_note.created", note)
    _reduce(sim, invoice, note["pre_payment_amount"], note["post_payment_amount"])
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        collection.settle(sim, invoice)
    return note


def void(sim: "Simulator", invoice: Obj, note: Obj) -> Obj:
    """Takes back a credit note; only while its invoice is still open."""
    if note["status"] == "void" or invoice["status"] != "open":
        raise invalid("You can only void an issued credit note of an invoice that is still open.")
    note |= {"status": "void", "voided_at": sim.clock.now(invoice)}
    sim.save(note)
    _reduce(sim, invoice, -note["pre_payment_amount"], 0)
    events.emit(sim, "credit_note.voided", note)
    return note


def _reduce(sim: "Simulator", invoice: Obj, unpaid: int, paid: int) -> None:
    with events.change(sim, invoice, "invoice.updated"):
        invoice["pre_payment_credit_notes_amount"] += unpaid
        invoice["post_payment_credit_notes_amount"] += paid
        invoice["amount_due"] -= unpaid
        invoice["amount_remaining"] -= unpaid
    payment = invoicing.payment_of(sim, invoice)
    if unpaid and payment is not None and payment["status"] not in ("succeeded", "canceled"):
        payment["amount"] = invoice["amount_due"]
        sim.save(payment)
        for attempt in sim.store.find("invoice_payment", "invoice", invoice["id"]):
            attempt["amount_requested"] = invoice["amount_due"]
            sim.save(attempt)


def _credited(sim: "Simulator", invoice: Obj) -> int:
    notes = sim.store.find("credit_note", "invoice", invoice["id"])
    return sum(note["total"] for note in notes if note["status"] == "issued")


def _shares(note: Obj, params: Params) -> dict[str, int]:
    """Where the paid part goes: by default all of it to the customer's credit."""
    wanted = {
        "refund": params.integer("refund_amount", 0) or 0,
        "credit": params.integer("credit_amount", 0) or 0,
        "outside": params.integer("out_of_band_amount", 0) or 0,
    }
    paid = note["post_payment_amount"]
    if not any(wanted.values()):
        wanted["credit"] = paid
    if sum(wanted.values()) != paid:
        raise invalid(
            "The sum of credit amount, refund amount and out of band amount "
            f"({sum(wanted.values())}) must equal the post payment amount ({paid})."
        )
    return wanted


def _whole(params: Params) -> Obj:
    amount = params.integer("amount")
    if amount is None:
        raise invalid("You must pass `amount` or `lines`.", param="amount", code="parameter_missing")
    return _entry("custom_line_item", amount, description="Credit", quantity=1, unit_amount=amount)


def _line(invoice: Obj, given: Params) -> Obj:
    quantity = given.integer("quantity")
    if given.need("type") == "custom_line_item":
        each = given.integer("unit_amount", 0) or 0
        count = quantity if quantity is not None else 1
        description = given.text("description") or "Credit"
        return _entry(
            "custom_line_item", each * count, description=description, quantity=count, unit_amount=each
        )
    name = given.need("invoice_line_item")
    line = next((one for one in invoice["lines"]["data"] if one["id"] == name), None)
    if line is None:
        raise no_such("line_item", name, param=given.name("invoice_line_item"), status=400)
    amount = given.integer("amount")
    if amount is None:
        amount = money.share(line["amount"], quantity or line["quantity"], line["quantity"] or 1)
    if amount > line["amount"]:
        raise invalid("A credit note line cannot exceed its invoice line.", param=given.name("amount"))
    taken = sum(part["amount"] for part in line["discount_amounts"])
    return _entry(
        "invoice_line_item",
        amount,
        description=line["description"],
        quantity=quantity,
        invoice_line_item=name,
        discount_amount=money.share(taken, amount, line["amount"]),
        discount_amounts=[
            {**part, "amount": money.share(part["amount"], amount, line["amount"])}
            for part in line["discount_amounts"]
        ],
        taxes=[
            {
                **tax,
                "amount": money.share(tax["amount"], amount, line["amount"]),
                "taxable_amount": money.share(tax["taxable_amount"], amount, line["amount"]),
            }
            for tax in line["taxes"]
        ],
    )


def _entry(kind: str, amount: int, **facts: Any) -> Obj:
    entry = new("credit_note_line_item", amount=amount, type=kind, **({"taxes": []} | facts))
    if entry["unit_amount"] is not None:
        entry["unit_amount_decimal"] = str(entry["unit_amount"])
    return entry
