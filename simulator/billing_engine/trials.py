"""What a trial ends in when there is nothing to charge: `trial_settings.end_behavior`
(docs.stripe.com/billing/subscriptions/trials#create-free-trials-without-payment).
"""

from typing import TYPE_CHECKING

from simulator import events
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def behavior_at_end(sim: "Simulator", subscription: Obj) -> str:
    """`cancel` or `pause` for a trial without a card that says so; else `create_invoice`."""
    customer = sim.store.get("customer", subscription["customer"]) or {}
    settings = customer.get("invoice_settings") or {}
    has_card = bool(subscription["default_payment_method"] or settings.get("default_payment_method"))
    if has_card or subscription["collection_method"] != "charge_automatically":
        return "create_invoice"
    return str(subscription["trial_settings"]["end_behavior"]["missing_payment_method"])


def pause(sim: "Simulator", subscription: Obj) -> None:
    """No invoices until it is resumed."""
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["trial_end"] = min(int(subscription["trial_end"]), sim.clock.now(subscription))
        subscription["status"] = "paused"
    events.emit(sim, "customer.subscription.paused", subscription)
