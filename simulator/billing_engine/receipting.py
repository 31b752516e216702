"""A checkout in payment mode that asks for an invoice has a paid one afterwards (docs.stripe.com/receipts)."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import collection, discounts, invoicing, lines
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def asked(params: Params) -> Obj:
    """`invoice_creation` as a session keeps it."""
    creation = params.inner("invoice_creation")
    data = creation.inner("invoice_data")
    return {
        "enabled": creation.flag("enabled"),
        "invoice_data": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": data.text("description"),
            "footer": data.text("footer"),
            "issuer": None,
            "metadata": data.metadata(),
            "rendering_options": None,
        },
    }


@events.follows("checkout.session.completed")
@events.follows("checkout.session.async_payment_succeeded")
def _write(sim: "Simulator", session: Obj) -> None:
    is_paid = session["mode"] == "payment" and session["payment_status"] == "paid"
    if not is_paid or session["invoice"] or not (session["invoice_creation"] or {}).get("enabled"):
        return
    customer = sim.store.get("customer", session["customer"])
    payment = sim.store.get("payment_intent", session["payment_intent"])
    if customer is None or payment is None:
        return
    invoice = _draft(sim, session, customer)
    _number(sim, invoice, customer)
    session["invoice"] = invoice["id"]
    sim.save(session)
    sim.save(
        new(
            "invoice_payment",
            amount_paid=payment["amount"],
            amount_requested=payment["amount"],
            created=sim.clock.now(invoice),
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=True,
            payment={"payment_intent": payment["id"], "type": "payment_intent"},
            status="paid",
            status_transitions={"canceled_at": None, "paid_at": sim.clock.now(invoice)},
        )
    )
    collection.settle(sim, invoice)


def _draft(sim: "Simulator", session: Obj, customer: Obj) -> Obj:
    now = sim.clock.now(customer)
    found = [
        lines.line(
            price=sim.store.get("price", item["price"]) or {},
            quantity=item["quantity"],
            amount=item["amount_subtotal"],
            period=(now, now),
            description=item["description"],
            tax_rates=item["_"].get("tax_rates"),
        )
        for item in session["_"]["line_items"]
    ]
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=found,
        reason="manual",
        currency=session["currency"],
        takes_pending=False,
    )
    data = session["invoice_creation"]["invoice_data"]
    invoice |= {
        "description": data["description"],
        "footer": data["footer"],
        "metadata": dict(data["metadata"]),
        "automatic_tax": invoicing.automatic_tax(session),
        "discounts": [_discount(sim, session, given) for given in session["discounts"] or []],
        # It was paid on the page, so the customer's credit has no part in it.
        "starting_balance": 0,
        "ending_balance": 0,
    }
    invoicing.total_up(sim, invoice)
    sim.save(invoice)
    invoicing.announce(sim, invoice)
    return invoice


def _discount(sim: "Simulator", session: Obj, given: Obj) -> str:
    found = discounts.redeem(
        sim,
        coupon=given["coupon"],
        promotion_code=given["promotion_code"],
        customer=session["customer"],
        checkout_session=session["id"],
    )
    return str(found["id"])


def _number(sim: "Simulator", invoice: Obj, customer: Obj) -> None:
    now = sim.clock.now(invoice)
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        "effective_at": now,
        "hosted_invoice_url": f"{sim.base_url}/i/{invoice['id']}",
        "invoice_pdf": f"{sim.base_url}/i/{invoice['id']}/pdf",
    }
    invoice["status_transitions"]["finalized_at"] = now
    invoice["_"]["final"] = True
    customer["next_invoice_sequence"] += 1
    sim.save(customer)
    sim.save(invoice)
    events.emit(sim, "invoice.finalized", invoice)
