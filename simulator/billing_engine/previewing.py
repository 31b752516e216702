"""What would be charged: the same arithmetic as the real thing, and nothing is kept."""

from typing import TYPE_CHECKING

from simulator.billing_engine import (
    canceling,
    changing,
    discounts,
    extras,
    following,
    invoicing,
    items,
    prorating,
    renewing,
    subscribing,
    taxing,
    updating,
)
from simulator.billing_engine import terms as terms_of
from simulator.billing_engine.terms import Terms
from simulator.errors import StripeError, invalid, no_such
from simulator.params import Params
from simulator.resources import customers, subscriptions
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

MODES = ("next", "recurring")


def preview(sim: "Simulator", params: Params) -> Obj:
    """The invoice of a change, of a new subscription, or the next one as things stand."""
    if "schedule" in params:
        return _named(_of_schedule(sim, params.need("schedule")))
    if "subscription" in params:
        found = subscriptions.need(sim, params.need("subscription"), param="subscription", status=400)
        return _named(_of_subscription(sim, found, params))
    if "customer" not in params:
        raise invalid(
            "You must pass `customer` or `subscription`.", param="customer", code="parameter_missing"
        )
    customer = customers.need(sim, params.need("customer"), param="customer", status=400)
    if "items" in params.inner("subscription_details"):
        return _named(_of_newcomer(sim, customer, params))
    currency = params.text("currency") or customer["currency"] or "usd"
    invoice = _draft(
        sim,
        customer,
        None,
        _as_lines(sim, _asked_lines(sim, customer, params, currency)),
        currency=currency,
    )
    if not invoice["lines"]["data"]:
        raise invalid(f"No upcoming invoices for customer: {customer['id']}", code="invoice_upcoming_none")
    return _named(invoice)


def _of_subscription(sim: "Simulator", subscription: Obj, params: Params) -> Obj:
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise _nothing(subscription)
    customer = sim.store.get("customer", subscription["customer"]) or {}
    details = params.inner("subscription_details")
    with discounts.supposed(sim, params, customer=customer["id"]) as names:
        subscription = _retold(sim, subscription, params, names)
        added = _asked_lines(sim, customer, params, subscription["currency"], subscription["id"])
        if details.flag("cancel_now"):
            return _of_leaving(sim, customer, subscription, details, added)
        change = updating.planned(sim, subscription, details)
        if change is not None:
            return _of_change(sim, customer, subscription, params, change, added)
        if params.choice("preview_mode", MODES, "next") == "recurring":
            return _draft(sim, customer, subscription, _cycle(sim, subscription), takes_pending=False)
        if not details.flag("cancel_at_period_end", subscription["cancel_at_period_end"]):
            return renewing.preview_next(sim, subscription, added=added)
        invoice = _draft(sim, customer, subscription, _as_lines(sim, added))
        if not invoice["lines"]["data"]:
            raise _nothing(subscription)
        return invoice


def _of_change(
    sim: "Simulator",
    customer: Obj,
    subscription: Obj,
    params: Params,
    change: changing.Change,
    added: list[Obj],
) -> Obj:
    details = params.inner("subscription_details")
    after = {
        **subscription,
        "items": {**subscription["items"], "data": change.items},
        "billing_cycle_anchor": change.anchor,
    }
    if params.choice("preview_mode", MODES, "next") == "recurring":
        return _draft(sim, customer, after, _cycle(sim, after), takes_pending=False)
    change.prorations += added
    found_lines = updating.invoice_lines(sim, change)
    if not change.restarts and details.text("proration_behavior") != "always_invoice":
        found_lines = found_lines + _cycle(sim, after)
    invoice = _draft(sim, customer, after, found_lines)
    at = details.integer("proration_date")
    if at is not None and invoice["parent"]:
        invoice["parent"]["subscription_details"]["subscription_proration_date"] = at
    return invoice


def _of_leaving(sim: "Simulator", customer: Obj, subscription: Obj, details: Params, added: list[Obj]) -> Obj:
    """The last invoice of a subscription that is canceled now."""
    now = sim.clock.now(subscription)
    at = details.integer("proration_date") or now
    prorates = details.text("proration_behavior") != "none"
    credits = prorating.unused(sim, subscription, at) if prorates else []
    last = canceling.unbilled(sim, subscription, now)
    return _draft(sim, customer, subscription, _as_lines(sim, credits + added) + last)


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


def _of_newcomer(sim: "Simulator", customer: Obj, params: Params) -> Obj:
    details = params.inner("subscription_details")
    now = sim.clock.now(customer)
    with discounts.supposed(sim, params, customer=customer["id"]) as names:
        terms = Terms(
            wanted=items.read(sim, details),
            trial_end=terms_of.trial_end(details, now),
            behavior="default_incomplete",
            anchor=terms_of.anchor(details, now),
            prorates_stub=details.text("proration_behavior") != "none",
            automatic_tax=params.inner("automatic_tax").flag("enabled"),
            default_tax_rates=taxing.asked_for(sim, details, "default_tax_rates"),
            currency=params.text("currency"),
            discounts=names or [],
        )
        subscription, found_lines = subscribing.imagine(sim, customer, terms)
        added = _asked_lines(sim, customer, params, subscription["currency"], subscription["id"])
        invoice = _draft(sim, customer, subscription, _as_lines(sim, added) + found_lines)
    invoice["parent"] = None
    return invoice


def _retold(sim: "Simulator", subscription: Obj, params: Params, names: list[str] | None) -> Obj:
    """The subscription with the taxes and discounts that the preview supposes."""
    found = dict(subscription)
    details = params.inner("subscription_details")
    if names is not None:
        found["discounts"] = names
    if "default_tax_rates" in details:
        found["default_tax_rates"] = taxing.asked_for(sim, details, "default_tax_rates")
    if "automatic_tax" in params:
        enabled = params.inner("automatic_tax").flag("enabled")
        found["automatic_tax"] = {**subscription["automatic_tax"], "enabled": enabled}
    return found


def _asked_lines(
    sim: "Simulator", customer: Obj, params: Params, currency: str, subscription: str | None = None
) -> list[Obj]:
    return extras.read(
        sim, params, customer=customer, currency=currency, subscription=subscription, name="invoice_items"
    )


def _as_lines(sim: "Simulator", drafts: list[Obj]) -> list[Obj]:
    return [invoicing.item_line(sim, one) for one in drafts]


def _cycle(sim: "Simulator", subscription: Obj) -> list[Obj]:
    data = subscription["items"]["data"]
    end = min(item["current_period_end"] for item in data)
    return renewing.cycle_lines(sim, subscription, [one for one in data if one["current_period_end"] == end])


def _draft(
    sim: "Simulator",
    customer: Obj,
    subscription: Obj | None,
    found_lines: list[Obj],
    *,
    takes_pending: bool = True,
    currency: str | None = None,
) -> Obj:
    return invoicing.draft(
        sim,
        customer=customer,
        found_lines=found_lines,
        reason="upcoming",
        subscription=subscription,
        currency=currency,
        takes_pending=takes_pending,
        is_preview=True,
    )


def _nothing(subscription: Obj) -> StripeError:
    return invalid(
        f"No upcoming invoices for subscription: {subscription['id']}", code="invoice_upcoming_none"
    )


def _named(invoice: Obj) -> Obj:
    if not invoice["id"].startswith("upcoming_"):
        invoice["id"] = "upcoming_" + invoice["id"]
        for line in invoice["lines"]["data"]:
            line["invoice"] = invoice["id"]
    return invoice
