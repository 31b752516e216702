"""An invoice becomes final: last count of usage, number, balance, and the payment intent that waits for
money; or it ends without any.
"""

from typing import TYPE_CHECKING

from simulator import events, view
from simulator.billing_engine import balance, discounts, intents, invoicing, lines, money, pending
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def finalize(sim: "Simulator", invoice: Obj) -> Obj:
    """Makes a draft final: last count of usage, number, balance, payment intent; an invoice of nothing
    is paid at once.
    """
    from simulator.billing_engine import collection

    customer = sim.store.get("customer", invoice["customer"])
    if customer is None or customer.get("deleted"):
        with events.change(sim, invoice, "invoice.updated"):
            invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
        return invoice
    before = view.snapshot(sim, invoice)
    for line in invoice["lines"]["data"]:
        lines.recount(sim, line)
    invoice["starting_balance"] = customer["balance"]
    invoicing.total_up(sim, invoice)
    now = sim.clock.now(invoice)
    _settle_balance(sim, invoice, customer)
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        "effective_at": now,
        "automatically_finalizes_at": None,
        "hosted_invoice_url": f"{sim.base_url}/i/{invoice['id']}",
        "invoice_pdf": f"{sim.base_url}/i/{invoice['id']}/pdf",
    }
    invoice["status_transitions"]["finalized_at"] = now
    invoice["_"]["final"] = True
    customer["next_invoice_sequence"] += 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    sim.save(customer)
    sim.save(invoice)
    if invoice["amount_due"] > 0:
        _expect_payment(sim, invoice)
        if invoice["collection_method"] == "charge_automatically" and invoice["auto_advance"]:
            invoice["next_payment_attempt"] = now
            sim.save(invoice)
    events.emit(sim, "invoice.updated", invoice, events.replaced(before, view.snapshot(sim, invoice)))
    events.emit(sim, "invoice.finalized", invoice)
    subscription = invoicing.subscription_of(sim, invoice)
    if subscription is not None:
        discounts.spend(sim, invoice, subscription)
    if invoice["amount_due"] == 0 and invoice["_"].get("pause") != "void":
        collection.settle(sim, invoice)
    elif invoice["collection_method"] == "send_invoice":
        events.emit(sim, "invoice.sent", invoice)
    return invoice


def void(sim: "Simulator", invoice: Obj, status: str = "void") -> Obj:
    """Ends an open invoice without money: `void` or `uncollectible`."""
    now = sim.clock.now(invoice)
    name = "voided" if status == "void" else "marked_uncollectible"
    with events.change(sim, invoice, "invoice.updated"):
        invoice |= {"status": status, "next_payment_attempt": None, "auto_advance": False}
        invoice["status_transitions"][f"{name}_at"] = now
    events.emit(sim, f"invoice.{name}", invoice)
    if status == "void":
        payment = invoicing.payment_of(sim, invoice)
        if payment is not None and payment["status"] not in ("succeeded", "canceled"):
            intents.cancel(sim, payment, "void_invoice")
        for attempt in sim.store.find("invoice_payment", "invoice", invoice["id"]):
            if attempt["status"] == "open":
                attempt["status"] = "canceled"
                attempt["status_transitions"]["canceled_at"] = now
                sim.save(attempt)
        _return_credit(sim, invoice)
        _drop_what_waited_for_it(sim, invoice)
    return invoice


def _return_credit(sim: "Simulator", invoice: Obj) -> None:
    """The credit that was put on the invoice is the customer's again (`unapplied_from_invoice`,
    docs.stripe.com/billing/customer/balance#transaction-types).
    """
    customer = sim.store.get("customer", invoice["customer"])
    used = (invoice["ending_balance"] or 0) - (invoice["starting_balance"] or 0)
    if used > 0 and customer is not None and not customer.get("deleted"):
        balance.move(
            sim,
            customer,
            -used,
            "unapplied_from_invoice",
            currency=invoice["currency"],
            invoice=invoice["id"],
        )


def _drop_what_waited_for_it(sim: "Simulator", invoice: Obj) -> None:
    """A pending update whose invoice is voided is given up
    (docs.stripe.com/billing/subscriptions/pending-updates-reference).
    """
    subscription = invoicing.subscription_of(sim, invoice)
    if subscription is not None and subscription["_"].get("pending_invoice") == invoice["id"]:
        pending.drop(sim, subscription)


def _settle_balance(sim: "Simulator", invoice: Obj, customer: Obj) -> None:
    start, total = invoice["starting_balance"], invoice["total"]
    ending = start + total if total < 0 else min(0, start + total) if start < 0 else 0
    invoice["ending_balance"] = ending
    if ending != customer["balance"]:
        change = ending - customer["balance"]
        balance.move(
            sim,
            customer,
            change,
            "applied_to_invoice",
            currency=invoice["currency"],
            invoice=invoice["id"],
        )


def _expect_payment(sim: "Simulator", invoice: Obj) -> None:
    adopted = invoice["_"].pop("authenticated_intent", None)
    payment = sim.store.get("payment_intent", adopted)
    if payment is None:
        first = invoice["billing_reason"] == "subscription_create"
        payment = intents.make(
            sim,
            amount=invoice["amount_due"],
            currency=invoice["currency"],
            customer=invoice["customer"],
            description="Subscription creation" if first else _described(invoice),
            invoice=invoice["id"],
            setup_future_usage="off_session" if first else None,
            kinds=_kinds(sim, invoice),
        )
    else:
        payment["_"]["invoice"] = invoice["id"]
        sim.save(payment)
    sim.save(
        new(
            "invoice_payment",
            amount_requested=invoice["amount_due"],
            created=sim.clock.now(invoice),
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=True,
            payment={"payment_intent": payment["id"], "type": "payment_intent"},
            status="open",
            status_transitions={"canceled_at": None, "paid_at": None},
        )
    )


def _kinds(sim: "Simulator", invoice: Obj) -> list[str]:
    """What the invoice may be paid with: as its subscription says, else cards and what is to be charged."""
    from simulator.billing_engine import collection

    subscription = invoicing.subscription_of(sim, invoice)
    asked = ((subscription or {}).get("payment_settings") or {}).get("payment_method_types")
    method = collection.method_for(sim, invoice)
    return list(asked or sorted({"card"} | ({method["type"]} if method else set())))


def _described(invoice: Obj) -> str:
    return {
        "subscription_cycle": "Subscription update",
        "subscription_update": "Subscription update",
    }.get(
        invoice["billing_reason"],
        f"Payment for invoice, {money.shown(invoice['amount_due'], invoice['currency'])}",
    )
