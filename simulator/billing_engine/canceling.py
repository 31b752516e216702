"""The end of a subscription, at once or when its time has come."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import finalizing, invoicing, lines, prorating, usage
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def end(
    sim: "Simulator",
    subscription: Obj,
    *,
    reason: str,
    details: Obj | None = None,
    invoice_now: bool = True,
    credits: list[Obj] | None = None,
) -> Obj:
    """Cancels now; usage not yet billed goes on a last invoice, together with prorations that wait for one and
    `credits` for time not used.
    """
    now = sim.clock.now(subscription)
    last = unbilled(sim, subscription, now) if invoice_now and subscription["status"] != "incomplete" else []
    has_prorations = bool(waiting_prorations(sim, subscription))
    for credit in credits or []:
        prorating.keep(sim, subscription, credit)
    before = subscription["status"]
    if before == "incomplete":
        _void_first(sim, subscription)
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
        "pending_update": None,
        "cancellation_details": {
            **dict.fromkeys(("comment", "feedback")),
            **(subscription["cancellation_details"] or {}),
            **(details or {}),
            "reason": (subscription["cancellation_details"] or {}).get("reason") or reason,
        },
    }
    for item in sim.store.find("_item_home", "subscription", subscription["id"]):
        sim.store.remove("_item_home", item["id"])
    sim.save(subscription)
    _stop_collecting(sim, subscription)
    if last or (invoice_now and (credits or has_prorations)):
        customer = sim.store.get("customer", subscription["customer"])
        if customer is not None:
            invoice = invoicing.draft(
                sim,
                customer=customer,
                found_lines=last,
                reason="subscription_update",
                subscription=subscription,
            )
            subscription["latest_invoice"] = invoice["id"]
            sim.save(subscription)
            invoicing.announce(sim, invoice)
            from simulator.billing_engine import collection

            finalizing.finalize(sim, invoice)
            if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
                collection.attempt(sim, invoice)
    events.emit(sim, "customer.subscription.deleted", subscription)
    return subscription


def drop_prorations(sim: "Simulator", subscription: Obj) -> None:
    """What waits for an invoice that will not come: docs.stripe.com/api/subscriptions/cancel."""
    for item in waiting_prorations(sim, subscription):
        sim.store.remove("invoiceitem", item["id"])
        events.emit(sim, "invoiceitem.deleted", item)


def waiting_prorations(sim: "Simulator", subscription: Obj) -> list[Obj]:
    """The prorations of a subscription that no invoice has yet."""
    return [
        item
        for item in sim.store.find("invoiceitem", "customer", subscription["customer"])
        if item["proration"]
        and item["invoice"] is None
        and ((item["parent"] or {}).get("subscription_details") or {}).get("subscription")
        == subscription["id"]
    ]


def expire(sim: "Simulator", subscription: Obj) -> None:
    """A first payment that did not come within 23 hours:
    docs.stripe.com/billing/subscriptions/overview#subscription-statuses.
    """
    _void_first(sim, subscription)
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["status"] = "incomplete_expired"
        subscription["ended_at"] = sim.clock.now(subscription)


def _void_first(sim: "Simulator", subscription: Obj) -> None:
    invoice = sim.store.get("invoice", subscription["latest_invoice"])
    if invoice is not None and invoice["status"] in ("open", "draft"):
        finalizing.void(sim, invoice)


def unbilled(sim: "Simulator", subscription: Obj, now: int) -> list[Obj]:
    """The lines of usage since the period began, as far as it costs something. What is used in a trial is free."""
    found: list[Obj] = []
    if (subscription["trial_end"] or 0) >= now:
        return found
    for item in subscription["items"]["data"]:
        price = lines.price_of(sim, item)
        if usage.is_metered(price):
            line = lines.for_usage(sim, subscription, item, lines.counted_from(item), now, is_last=True)
            if line["amount"]:
                found.append(line)
    return found


def _stop_collecting(sim: "Simulator", subscription: Obj) -> None:
    for invoice in sim.store.find("invoice", "parent.subscription_details.subscription", subscription["id"]):
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            with events.change(sim, invoice, "invoice.updated"):
                invoice["auto_advance"] = False
                invoice["next_payment_attempt"] = None
