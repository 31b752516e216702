"""What time does to a subscription and its invoices: warnings, trial's end, renewal, retries,
cancellation, expiry.
"""

from typing import TYPE_CHECKING

from simulator import agenda, events
from simulator.billing_engine import (
    canceling,
    collection,
    finalizing,
    invoicing,
    lines,
    pending,
    periods,
    trials,
    usage,
)
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

INCOMPLETE_SECONDS = 23 * 3600
TRIAL_NOTICE = 3 * periods.DAY
UPCOMING_NOTICE = 7 * periods.DAY
DUE_NOTICE = 3 * periods.DAY
_RENEWS = ("active", "past_due", "unpaid", "trialing")


def when(sim: "Simulator", subscription: Obj) -> int | None:
    """The next moment at which something happens to the subscription by itself."""
    status = subscription["status"]
    if status == "incomplete":
        return int(subscription["created"]) + INCOMPLETE_SECONDS
    moments = [subscription["cancel_at"]]
    if subscription["pending_update"] is not None:
        moments.append(subscription["pending_update"]["expires_at"])
    if status in _RENEWS:
        moments += [_next_end(subscription), _trial_notice(subscription), _upcoming_notice(subscription)]
        pause = subscription["pause_collection"]
        moments.append(pause["resumes_at"] if pause else None)
    elif status != "paused":
        return None
    return min((moment for moment in moments if moment is not None), default=None)


def act(sim: "Simulator", subscription: Obj) -> None:
    """Does the one thing that is due now; what is due next is asked again."""
    now = sim.clock.now(subscription)
    held, pause = subscription["pending_update"], subscription["pause_collection"]
    if subscription["status"] == "incomplete":
        canceling.expire(sim, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        canceling.end(sim, subscription, reason="cancellation_requested")
    elif held is not None and held["expires_at"] <= now:
        pending.drop(sim, subscription)
    elif pause and pause["resumes_at"] is not None and pause["resumes_at"] <= now:
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["pause_collection"] = None
    elif _is_due(_trial_notice(subscription), now):
        subscription["_"]["told_trial_ends"] = subscription["trial_end"]
        sim.save(subscription)
        events.emit(sim, "customer.subscription.trial_will_end", subscription)
    elif _is_due(_upcoming_notice(subscription), now):
        subscription["_"]["told_upcoming"] = _next_end(subscription)
        sim.save(subscription)
        upcoming(sim, subscription)
    elif subscription["status"] == "trialing" and subscription["trial_end"] <= now:
        _end_trial(sim, subscription)
    elif subscription["status"] in _RENEWS:
        renew(sim, subscription)


def renew(sim: "Simulator", subscription: Obj, *, becomes: str | None = None) -> Obj:
    """Opens the next period of every item whose period is over, and drafts the invoice for it."""
    now = sim.clock.now(subscription)
    over = [item for item in subscription["items"]["data"] if item["current_period_end"] <= now]
    customer = sim.store.get("customer", subscription["customer"]) or {}
    was = (
        min(item["current_period_start"] for item in over),
        min(item["current_period_end"] for item in over),
    )
    with events.change(sim, subscription, "customer.subscription.updated"):
        subscription["status"] = becomes or subscription["status"]
        found = cycle_lines(sim, subscription, over)
        for item in over:
            recurring = lines.price_of(sim, item)["recurring"]
            item["current_period_start"] = item["current_period_end"]
            item["current_period_end"] = periods.end_of(
                subscription["billing_cycle_anchor"], recurring, item["current_period_start"]
            )
        if subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = max(
                item["current_period_end"] for item in subscription["items"]["data"]
            )
        invoice = invoicing.draft(
            sim,
            customer=customer,
            found_lines=found,
            reason="subscription_cycle",
            subscription=subscription,
            period=was,
            waits=True,
        )
        subscription["latest_invoice"] = invoice["id"]
        if subscription["pause_collection"]:
            # What was begun before the pause is charged all the same, and what was begun in it is not, whenever it
            # ends: docs.stripe.com/billing/subscriptions/pause-payment.
            invoice["_"]["pause"] = subscription["pause_collection"]["behavior"]
            invoice["auto_advance"] = invoice["_"]["pause"] != "keep_as_draft"
            sim.save(invoice)
    invoicing.announce(sim, invoice)
    return invoice


def cycle_lines(sim: "Simulator", subscription: Obj, over: list[Obj]) -> list[Obj]:
    """The lines of the invoice between two periods: usage of the one that ended, the price of the one
    that begins.
    """
    found = []
    for item in over:
        price = lines.price_of(sim, item)
        start, end = item["current_period_start"], item["current_period_end"]
        if usage.is_metered(price):
            if subscription["trial_end"] == end:
                start = end  # What is used in a trial is free.
            start = max(start, lines.counted_from(item))
            found.append(lines.for_usage(sim, subscription, item, start, end))
        else:
            next_end = periods.end_of(subscription["billing_cycle_anchor"], price["recurring"], end)
            found.append(lines.for_period(sim, subscription, item, end, next_end))
    return found


def upcoming(sim: "Simulator", subscription: Obj) -> Obj:
    """Tells of the invoice to come; such an invoice has an id that leads nowhere."""
    invoice = preview_next(sim, subscription)
    return events.emit(sim, "invoice.upcoming", invoice)


def preview_next(sim: "Simulator", subscription: Obj, *, added: list[Obj] | None = None) -> Obj:
    """The next renewal's invoice as it looks today, with drafts of invoice items `added`; nothing is kept."""
    customer = sim.store.get("customer", subscription["customer"]) or {}
    end = _next_end(subscription)
    over = [item for item in subscription["items"]["data"] if item["current_period_end"] == end]
    found = cycle_lines(sim, subscription, over) if subscription["status"] != "canceled" else []
    found = [invoicing.item_line(sim, one) for one in added or []] + found
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=found,
        reason="upcoming",
        subscription=subscription,
        period=(over[0]["current_period_start"], over[0]["current_period_end"]) if over else None,
        is_preview=True,
    )
    invoice["id"] = "upcoming_" + invoice["id"]
    for line in invoice["lines"]["data"]:
        line["invoice"] = invoice["id"]
    invoice["next_payment_attempt"] = (end or 0) + invoicing.DRAFT_SECONDS
    return invoice


def _end_trial(sim: "Simulator", subscription: Obj) -> None:
    """The trial is over: renew and go on, or, without a card, do what `trial_settings` says."""
    behavior = trials.behavior_at_end(sim, subscription)
    if behavior == "cancel":
        canceling.end(sim, subscription, reason="cancellation_requested", invoice_now=False)
    elif behavior == "pause":
        trials.pause(sim, subscription)
    else:
        renew(sim, subscription, becomes="active")


def invoice_when(sim: "Simulator", invoice: Obj) -> int | None:
    """The next moment at which something happens to an invoice by itself."""
    if invoice["status"] == "draft":
        moment = invoice["automatically_finalizes_at"] if invoice["auto_advance"] else None
    elif invoice["status"] == "open" and invoice["collection_method"] == "send_invoice":
        moment = _due_soon(invoice) or (invoice["due_date"] if not invoice["_"].get("told_overdue") else None)
    elif invoice["status"] == "open" and invoice["_"]["attempts"]:
        moment = invoice["next_payment_attempt"] if invoice["auto_advance"] else None
    else:
        moment = None
    return int(moment) if moment is not None else None


def invoice_act(sim: "Simulator", invoice: Obj) -> None:
    """Finalizes a draft and collects, retries a failed payment, or says that a sent invoice is due or overdue."""
    if invoice["status"] == "open" and invoice["collection_method"] == "send_invoice":
        if _due_soon(invoice) is not None:
            invoice["_"]["told_due_soon"] = True
            sim.save(invoice)
            events.emit(sim, "invoice.will_be_due", invoice)
        else:
            _overdue(sim, invoice)
        return
    if invoice["status"] == "draft":
        pause = invoice["_"].get("pause")
        finalizing.finalize(sim, invoice)
        if pause and invoice["status"] == "open":
            finalizing.void(sim, invoice, "void" if pause == "void" else "uncollectible")
    if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        collection.attempt(sim, invoice)


def _due_soon(invoice: Obj) -> int | None:
    """When to say that a sent invoice will be due; never for one that was due sooner than that anyway."""
    if invoice["_"].get("told_due_soon") or invoice["due_date"] is None:
        return None
    moment = int(invoice["due_date"]) - DUE_NOTICE
    return moment if moment > invoice["created"] else None


def _overdue(sim: "Simulator", invoice: Obj) -> None:
    invoice["_"]["told_overdue"] = True
    invoice["attempted"] = True
    sim.save(invoice)
    events.emit(sim, "invoice.overdue", invoice)
    subscription = invoicing.subscription_of(sim, invoice)
    if subscription is not None and subscription["status"] == "active":
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "past_due"


def _next_end(subscription: Obj) -> int | None:
    return min((int(item["current_period_end"]) for item in subscription["items"]["data"]), default=None)


def _trial_notice(subscription: Obj) -> int | None:
    end = subscription["trial_end"]
    if subscription["status"] != "trialing" or end is None or subscription["_"]["told_trial_ends"] == end:
        return None
    return max(int(end) - TRIAL_NOTICE, int(subscription["trial_start"]))


def _upcoming_notice(subscription: Obj) -> int | None:
    end = _next_end(subscription)
    if end is None or subscription["_"]["told_upcoming"] == end or subscription["cancel_at"] == end:
        return None
    moment = end - UPCOMING_NOTICE
    starts = max(int(item["current_period_start"]) for item in subscription["items"]["data"])
    return moment if moment > starts else None


def _is_due(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now


agenda.duty("subscription", when, act)
agenda.duty("invoice", invoice_when, invoice_act)
