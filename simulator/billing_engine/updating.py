"""`POST /v1/subscriptions/{id}`: first what it costs, then whether it may be, then that it is."""

from copy import deepcopy
from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import (
    canceling,
    changing,
    collection,
    discounts,
    extras,
    finalizing,
    invoicing,
    items,
    payments,
    pending,
    prorating,
    taxing,
    trials,
)
from simulator.billing_engine.changing import Change
from simulator.errors import invalid
from simulator.params import Params
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator

PRORATIONS = ("create_prorations", "always_invoice", "none")
_ENDED = ("canceled", "incomplete_expired")
# docs.stripe.com/billing/subscriptions/pending-updates-reference; what else is told with them is held as well.
_HELD = ("metadata", "discounts")
_CAN_WAIT = (
    "add_invoice_items",
    "billing_cycle_anchor",
    "expand",
    "items",
    "off_session",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
    *_HELD,
)


def update(sim: "Simulator", subscription: Obj, params: Params) -> Obj:
    """Applies an update; raises 402 under `error_if_incomplete` when the card would not pay."""
    if subscription["status"] in _ENDED:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata: "
            f"{subscription['id']}."
        )
    behavior = params.choice(
        "payment_behavior",
        ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete"),
        "allow_incomplete",
    )
    if behavior == "pending_if_incomplete":
        _check_can_wait(params)
    change = planned(sim, subscription, params)
    if change is not None and change.ends_trial:
        ending = trials.behavior_at_end(sim, subscription)
        if ending == "pause":
            return _without_card(sim, subscription, params)
        if ending == "cancel":
            return canceling.end(sim, subscription, reason="cancellation_requested", invoice_now=False)
    added = _extras(sim, subscription, params)
    if change is not None:
        change.prorations += added
    invoice = None
    if change is not None and (change.restarts or params.text("proration_behavior") == "always_invoice"):
        invoice = _invoice(sim, subscription, change, params, behavior)
    with events.change(sim, subscription, "customer.subscription.updated"):
        if invoice is not None:
            subscription["latest_invoice"] = invoice["id"]
        if (change is not None and behavior != "pending_if_incomplete") or (
            change is not None and invoice is None
        ):
            changing.apply(sim, subscription, change)
        is_held = behavior == "pending_if_incomplete" and invoice is not None
        _facts(sim, subscription, _without(params, _HELD) if is_held else params)
    if invoice is None:
        for waiting in change.prorations if change is not None else added:
            prorating.keep(sim, subscription, waiting)
    if invoice is not None and change is not None:
        _collect(sim, subscription, change, invoice, behavior, params)
    return subscription


def _check_can_wait(params: Params) -> None:
    """Only some changes can wait for a payment."""
    for name in params:
        if name not in _CAN_WAIT:
            raise invalid(
                f"`{name}` cannot be changed with `payment_behavior=pending_if_incomplete`. "
                "See https://docs.stripe.com/billing/subscriptions/pending-updates-reference.",
                param=name,
            )


def _without(params: Params, names: tuple[str, ...]) -> Params:
    return Params({name: value for name, value in params.values.items() if name not in names})


def _extras(sim: "Simulator", subscription: Obj, params: Params) -> list[Obj]:
    customer = sim.store.get("customer", subscription["customer"])
    if "add_invoice_items" not in params or customer is None:
        return []
    currency = subscription["currency"]
    return extras.read(sim, params, customer=customer, currency=currency, subscription=subscription["id"])


def _without_card(sim: "Simulator", subscription: Obj, params: Params) -> Obj:
    """A trial ended by hand that has nothing to charge: paused, as it would be at its day."""
    with events.change(sim, subscription, "customer.subscription.updated"):
        _facts(sim, subscription, params)
    trials.pause(sim, subscription)
    return subscription


def planned(sim: "Simulator", subscription: Obj, params: Params) -> Change | None:
    """What the parameters change about items, trial or cycle; None when nothing of these."""
    now = sim.clock.now(subscription)
    wanted = items.read(sim, params)
    anchor_now = params.text("billing_cycle_anchor") == "now"
    ends_trial = params.text("trial_end") == "now"
    trial = None if ends_trial else params.integer("trial_end")
    if not wanted and not anchor_now and not ends_trial and trial is None:
        return None
    behavior = params.choice("proration_behavior", PRORATIONS, "create_prorations")
    at = params.integer("proration_date") or now
    starts = min(item["current_period_start"] for item in subscription["items"]["data"])
    ends = max(item["current_period_end"] for item in subscription["items"]["data"])
    if not starts <= at <= ends:
        raise invalid(
            "Invalid proration date: it must be within the current billing period.", param="proration_date"
        )
    return changing.plan(
        sim,
        subscription,
        wanted,
        prorates=behavior != "none",
        at=at,
        now=now,
        anchor_now=anchor_now,
        trial_end=trial,
        ends_trial=ends_trial,
    )


def invoice_lines(sim: "Simulator", change: Change) -> list[Obj]:
    """What a change costs now, as invoice lines."""
    return [invoicing.item_line(sim, item) for item in change.prorations] + change.charges


def _invoice(
    sim: "Simulator", subscription: Obj, change: Change, params: Params, behavior: str
) -> Obj | None:
    if not change.prorations and not change.charges:
        return None
    customer = sim.store.get("customer", subscription["customer"]) or {}
    probe = invoicing.draft(
        sim,
        customer=customer,
        found_lines=invoice_lines(sim, change),
        reason="subscription_update",
        subscription=subscription,
        is_preview=True,
    )
    method = collection.method_for(
        sim, {**probe, "default_payment_method": subscription["default_payment_method"]}
    )
    if behavior == "error_if_incomplete" and probe["amount_due"] > 0 and method is not None:
        refusal = payments.would_decline(method, off_session=params.flag("off_session"))
        if refusal is not None:
            raise refusal
    for proration in change.prorations:
        prorating.keep(sim, subscription, proration)
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=deepcopy(change.charges),
        reason="subscription_update",
        subscription=subscription,
        period=(sim.clock.now(subscription),) * 2,
    )
    invoicing.announce(sim, invoice)
    return invoice


def _collect(
    sim: "Simulator", subscription: Obj, change: Change, invoice: Obj, behavior: str, params: Params
) -> None:
    if behavior == "pending_if_incomplete":
        told: Obj = {"metadata": params.metadata(subscription["metadata"])} if "metadata" in params else {}
        if "discounts" in params:
            told["discounts"] = _discounts(sim, subscription, params)
        pending.hold(sim, subscription, change, invoice, told)
    finalizing.finalize(sim, invoice)
    is_due = invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically"
    if is_due and behavior == "default_incomplete":
        # Paid by its own page, later: docs.stripe.com/api/subscriptions/update#update_subscription-payment_behavior
        with events.change(sim, subscription, "customer.subscription.updated"):
            subscription["status"] = "past_due"
    elif is_due:
        collection.attempt(sim, invoice, off_session=params.flag("off_session"))


def _discounts(sim: "Simulator", subscription: Obj, params: Params) -> list[str]:
    return discounts.asked_for(
        sim, params, customer=subscription["customer"], subscription=subscription["id"]
    )


def _facts(sim: "Simulator", subscription: Obj, params: Params) -> None:
    for key in ("description", "default_payment_method"):
        if key in params:
            subscription[key] = params.text(key)
    if "metadata" in params:
        subscription["metadata"] = params.metadata(subscription["metadata"])
    if "collection_method" in params:
        subscription["collection_method"] = params.text("collection_method")
    if "days_until_due" in params:
        subscription["days_until_due"] = params.integer("days_until_due")
    if "automatic_tax" in params:
        enabled = params.inner("automatic_tax").flag("enabled")
        liability = {"type": "self"} if enabled else None
        subscription["automatic_tax"] |= {"enabled": enabled, "liability": liability}
    if "default_tax_rates" in params:
        subscription["default_tax_rates"] = taxing.asked_for(sim, params, "default_tax_rates")
    if "trial_settings" in params:
        behavior = params.inner("trial_settings").inner("end_behavior").need("missing_payment_method")
        subscription["trial_settings"] = {"end_behavior": {"missing_payment_method": behavior}}
    if "pause_collection" in params:
        pause = params.inner("pause_collection")
        subscription["pause_collection"] = (
            {"behavior": pause.need("behavior"), "resumes_at": pause.integer("resumes_at")}
            if pause.values
            else None
        )
    if "discounts" in params:
        subscription["discounts"] = _discounts(sim, subscription, params)
    if "trial_end" in params and params.text("trial_end") != "now":
        subscription["trial_end"] = params.integer("trial_end")
        subscription["trial_start"] = subscription["trial_start"] or sim.clock.now(subscription)
        subscription["status"] = "trialing"
    if "cancellation_details" in params:
        given = params.inner("cancellation_details")
        subscription["cancellation_details"] |= {
            key: given.text(key) for key in ("comment", "feedback") if key in given
        }
    _ending(sim, subscription, params)


def _ending(sim: "Simulator", subscription: Obj, params: Params) -> None:
    """`cancel_at_period_end` and `cancel_at`: set, moved, or taken back."""
    now = sim.clock.now(subscription)
    ends = max(item["current_period_end"] for item in subscription["items"]["data"])
    if "cancel_at_period_end" in params:
        is_ending = params.flag("cancel_at_period_end")
        if is_ending != subscription["cancel_at_period_end"] or (not is_ending and subscription["cancel_at"]):
            subscription["cancel_at"] = ends if is_ending else None
            subscription["canceled_at"] = now if is_ending else None
            reason = "cancellation_requested" if is_ending else None
            subscription["cancellation_details"] = {
                **(
                    subscription["cancellation_details"]
                    if is_ending
                    else dict.fromkeys(("comment", "feedback"))
                ),
                "reason": reason,
            }
        subscription["cancel_at_period_end"] = is_ending
    if "cancel_at" in params:
        word = params.text("cancel_at")
        at: int | None
        if word in ("min_period_end", "max_period_end"):
            pick = min if word == "min_period_end" else max
            at = pick(item["current_period_end"] for item in subscription["items"]["data"])
        else:
            at = params.integer("cancel_at")
        if at is not None and at <= now:
            raise invalid("cancel_at must be in the future.", param="cancel_at")
        subscription["cancel_at"] = at
        subscription["canceled_at"] = now if at else None
        subscription["cancel_at_period_end"] = False
        subscription["cancellation_details"] = {
            **(subscription["cancellation_details"] or {}),
            "reason": "cancellation_requested" if at else None,
        }
