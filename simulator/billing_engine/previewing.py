"""What would be charged: the same arithmetic as the real thing, and nothing is kept."""

from typing import TYPE_CHECKING

from simulator.billing_engine import following, invoicing, items, renewing, subscribing, updating
from simulator.billing_engine import terms as terms_of
from simulator.billing_engine.terms import Terms
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.resources import customers, subscriptions
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def preview(sim: "Simulator", params: Params) -> Obj:
    """The invoice of a change, of a new subscription, or the next one as things stand."""
    details = params.inner("subscription_details")
    if "schedule" in params:
        return _named(_of_schedule(sim, params.need("schedule")))
    if "subscription" in params:
        subscription = subscriptions.need(sim, params.need("subscription"), param="subscription", status=400)
        return _named(_of_subscription(sim, subscription, details))
    if "customer" not in params:
        raise invalid(
            "You must pass `customer` or `subscription`.", param="customer", code="parameter_missing"
        )
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    if "items" in details:
        return _named(
            _of_newcomer(sim, customer, details, taxed=params.inner("automatic_tax").flag("enabled"))
        )
    invoice = invoicing.draft(sim, customer=customer, found_lines=[], reason="upcoming", is_preview=True)
    if not invoice["lines"]["data"]:
        raise invalid(f"No upcoming invoices for customer: {customer['id']}", code="invoice_upcoming_none")
    return _named(invoice)


def _of_subscription(sim: "Simulator", subscription: Obj, details: Params) -> Obj:
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise invalid(
            f"No upcoming invoices for subscription: {subscription['id']}", code="invoice_upcoming_none"
        )
    change = updating.planned(sim, subscription, details)
    is_ending = details.flag("cancel_at_period_end", subscription["cancel_at_period_end"])
    if change is None and not is_ending:
        return renewing.preview_next(sim, subscription)
    customer = sim.store.get("customer", subscription["customer"]) or {}
    if change is None:
        invoice = invoicing.draft(
            sim,
            customer=customer,
            found_lines=[],
            reason="upcoming",
            subscription=subscription,
            is_preview=True,
        )
        if not invoice["lines"]["data"]:
            raise invalid(
                f"No upcoming invoices for subscription: {subscription['id']}", code="invoice_upcoming_none"
            )
        return invoice
    found_lines = updating.invoice_lines(sim, change)
    after = {
        **subscription,
        "items": {**subscription["items"], "data": change.items},
        "billing_cycle_anchor": change.anchor,
    }
    if not change.restarts and details.text("proration_behavior") != "always_invoice":
        end = min(item["current_period_end"] for item in change.items)
        over = [item for item in change.items if item["current_period_end"] == end]
        found_lines = found_lines + renewing.cycle_lines(sim, after, over)
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=found_lines,
        reason="upcoming",
        subscription=after,
        is_preview=True,
    )
    at = details.integer("proration_date")
    if at is not None and invoice["parent"]:
        invoice["parent"]["subscription_details"]["subscription_proration_date"] = at
    return invoice


def _of_schedule(sim: "Simulator", name: str) -> Obj:
    """The next invoice of a scheduled subscription: of the phase that begins when this period ends."""
    schedule = sim.store.get("subscription_schedule", name)
    subscription = sim.store.get("subscription", schedule["subscription"]) if schedule else None
    if schedule is None or subscription is None:
        raise no_such("subscription_schedule", name, param="schedule", status=400)
    end = min(item["current_period_end"] for item in subscription["items"]["data"])
    phase = next((one for one in schedule["phases"] if one["start_date"] == end), None)
    after = following.as_phase_says(sim, subscription, phase, end)
    return renewing.preview_next(sim, after, added=following.extra_lines(sim, subscription, phase))


def _of_newcomer(sim: "Simulator", customer: Obj, details: Params, *, taxed: bool) -> Obj:
    wanted = items.read(sim, details)
    now = sim.clock.now(customer)
    trial = terms_of.trial_end(details, now)
    terms = Terms(wanted=wanted, trial_end=trial, behavior="default_incomplete", automatic_tax=taxed)
    subscription, found_lines = subscribing.imagine(sim, customer, terms)
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=found_lines,
        reason="upcoming",
        subscription=subscription,
        is_preview=True,
    )
    invoice["parent"] = None
    return invoice


def _named(invoice: Obj) -> Obj:
    if not invoice["id"].startswith("upcoming_"):
        invoice["id"] = "upcoming_" + invoice["id"]
        for line in invoice["lines"]["data"]:
            line["invoice"] = invoice["id"]
    return invoice
