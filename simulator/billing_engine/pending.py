"""A change that waits until its invoice is paid (`pending_if_incomplete`): held, then applied or forgotten."""

from copy import deepcopy
from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import items
from simulator.billing_engine.changing import Change
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

PENDING_SECONDS = 23 * 3600


def hold(sim: "Simulator", subscription: Obj, change: Change, invoice: Obj, told: Obj) -> None:
    """`pending_if_incomplete`: the change, and what is `told` with it, waits until its invoice is paid, 23
    hours at most and never beyond the running period.
    """
    now = sim.clock.now(subscription)
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["pending_update"] = {
            "billing_cycle_anchor": change.anchor if change.restarts else None,
            "discount": None,
            "discounts": told.get("discounts"),
            "expires_at": min(now + PENDING_SECONDS, ends) if ends > now else now + PENDING_SECONDS,
            "metadata": told.get("metadata"),
            "subscription_items": [deepcopy(item) for item in change.items],
            "trial_end": None,
            "trial_from_plan": None,
        }
        subscription["_"]["pending_invoice"] = invoice["id"]
        subscription["_"]["pending_anchor"] = change.anchor
        subscription["_"]["pending_ends_trial"] = change.ends_trial


def apply(sim: "Simulator", subscription: Obj) -> None:
    """The invoice of a held change is paid: the change takes hold."""
    with events.change(sim, subscription, "customer.subscription.updated"):
        held = subscription["pending_update"]
        subscription["pending_update"] = None
        subscription["billing_cycle_anchor"] = subscription["_"].pop("pending_anchor")
        subscription["_"].pop("pending_invoice")
        subscription |= {key: held[key] for key in ("discounts", "metadata") if held[key] is not None}
        items.settle(sim, subscription, held["subscription_items"])
        if subscription["_"].pop("pending_ends_trial", False):
            subscription["trial_end"] = sim.clock.now(subscription)
            subscription["status"] = "active"
    events.emit(sim, "customer.subscription.pending_update_applied", subscription)


def drop(sim: "Simulator", subscription: Obj) -> None:
    """A held change that was not paid in time is forgotten and its invoice voided."""
    from simulator.billing_engine import finalizing

    invoice = sim.store.get("invoice", subscription["_"].pop("pending_invoice", None))
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["pending_update"] = None
        subscription["_"].pop("pending_anchor", None)
        subscription["_"].pop("pending_ends_trial", None)
    if invoice is not None and invoice["status"] == "open":
        finalizing.void(sim, invoice)
    events.emit(sim, "customer.subscription.pending_update_expired", subscription)
