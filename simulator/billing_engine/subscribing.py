"""The beginning of a subscription: items, trial, first invoice, first payment."""

from typing import TYPE_CHECKING, Any

from simulator import events
from simulator.billing_engine import (
    collection,
    extras,
    finalizing,
    invoicing,
    items,
    lines,
    payments,
    periods,
    usage,
)
from simulator.billing_engine.terms import Terms
from simulator.errors import StripeError, invalid, no_such
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def begin(sim: "Simulator", customer: Obj, terms: Terms) -> Obj:
    """A new subscription with its first invoice, paid if it can be; raises 402 under
    `error_if_incomplete`.
    """
    now = sim.clock.now(customer)
    subscription, found_lines = imagine(sim, customer, terms)
    is_trial = subscription["trial_end"] is not None
    added = opening_extras(sim, customer, terms, subscription)
    _check_payable(sim, customer, terms, found_lines + [invoicing.item_line(sim, one) for one in added])

    items.settle(sim, subscription, subscription["items"]["data"])
    _note_end(subscription, terms)
    sim.save(subscription)
    extras.keep(sim, added)
    invoice = invoicing.draft(
        sim,
        customer=customer,
        found_lines=found_lines,
        reason="subscription_create",
        subscription=subscription,
    )
    if terms.authenticated_intent:
        invoice["_"]["authenticated_intent"] = terms.authenticated_intent
    subscription["latest_invoice"] = invoice["id"]
    if is_trial:
        subscription["status"] = "trialing"
    elif invoice["amount_due"] == 0 or terms.collection_method == "send_invoice":
        subscription["status"] = "active"
    for name in terms.discounts:
        discount = sim.store.get("discount", name)
        if discount is not None:
            discount["subscription"] = subscription["id"]
            sim.save(discount)
    customer["currency"] = customer["currency"] or subscription["currency"]
    sim.save(customer)
    sim.save(subscription)
    events.emit(sim, "customer.subscription.created", subscription)
    invoicing.announce(sim, invoice)
    if terms.collection_method == "send_invoice":
        invoice["automatically_finalizes_at"] = now + invoicing.DRAFT_SECONDS
        sim.save(invoice)
        return subscription
    finalizing.finalize(sim, invoice)
    if invoice["status"] == "open" and terms.behavior != "default_incomplete":
        collection.attempt(
            sim,
            invoice,
            off_session=terms.off_session,
            authenticated=terms.authenticated_intent is not None,
        )
    return subscription


def imagine(sim: "Simulator", customer: Obj, terms: Terms) -> tuple[Obj, list[Obj]]:
    """The subscription and the lines of its first invoice as they would be; nothing is kept."""
    _check(terms)
    now = sim.clock.now(customer)
    is_trial = terms.trial_end is not None and terms.trial_end > now
    subscription = _frame(sim, customer, terms, now, is_trial=is_trial)
    made = []
    for wanted in terms.wanted:
        price = wanted.price or {}
        anchor = subscription["billing_cycle_anchor"]
        end = terms.trial_end if is_trial else periods.end_of(anchor, price["recurring"], now)
        made.append(items.make(sim, subscription, wanted, start=now, end=end or now))
    subscription["items"]["data"] = made
    return subscription, _first_lines(sim, subscription, made, terms, is_trial=is_trial)


def opening_extras(sim: "Simulator", customer: Obj, terms: Terms, subscription: Obj) -> list[Obj]:
    """What `add_invoice_items` puts on the first invoice, as drafts of invoice items."""
    if terms.extras is None:
        return []
    return extras.read(
        sim,
        terms.extras,
        customer=customer,
        currency=subscription["currency"],
        subscription=subscription["id"],
    )


def opening_lines(sim: "Simulator", subscription: Obj, made: list[Obj]) -> list[Obj]:
    """The lines of a first period without trial: licensed items in advance, meters at nothing yet."""
    found = []
    for item in made:
        start, end = item["current_period_start"], item["current_period_end"]
        if usage.is_metered(lines.price_of(sim, item)):
            found.append(lines.for_usage(sim, subscription, item, start, start))
        else:
            found.append(lines.for_period(sim, subscription, item, start, end))
    return found


def _frame(sim: "Simulator", customer: Obj, terms: Terms, now: int, *, is_trial: bool) -> Obj:
    first = terms.wanted[0].price or {}
    mode: Obj = {"flexible": None, "type": "classic", "updated_at": None}
    if terms.billing_mode == "flexible":
        mode = {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now}
    subscription = new(
        "subscription",
        automatic_tax={
            "disabled_reason": None,
            "enabled": terms.automatic_tax,
            "liability": {"type": "self"} if terms.automatic_tax else None,
        },
        billing_cycle_anchor=terms.trial_end if is_trial else (terms.anchor or now),
        billing_mode=mode,
        cancellation_details={"comment": None, "feedback": None, "reason": None},
        collection_method=terms.collection_method,
        created=now,
        currency=(terms.currency or first["currency"]).lower(),
        customer=customer["id"],
        days_until_due=terms.days_until_due,
        default_payment_method=terms.default_payment_method,
        description=terms.description,
        default_tax_rates=list(terms.default_tax_rates),
        discounts=list(terms.discounts),
        invoice_settings={
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        metadata=terms.metadata,
        payment_settings=terms.payment_settings
        or {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        schedule=terms.schedule,
        start_date=now,
        status="incomplete",
        test_clock=customer["test_clock"],
        trial_end=terms.trial_end if is_trial else None,
        trial_settings={"end_behavior": {"missing_payment_method": terms.missing_payment_method}},
        trial_start=now if is_trial else None,
    )
    subscription["_"] = {"told_trial_ends": None, "told_upcoming": None}
    return subscription


def _first_lines(
    sim: "Simulator", subscription: Obj, made: list[Obj], terms: Terms, *, is_trial: bool
) -> list[Obj]:
    if is_trial:
        return [lines.free_trial(sim, subscription, item) for item in made]
    found = opening_lines(sim, subscription, made)
    if terms.anchor is not None and not terms.prorates_stub:
        found = [line for line in found if not line["parent"]["subscription_item_details"]["proration"]]
    return found


def _check(terms: Terms) -> None:
    if not terms.wanted:
        raise invalid("Missing required param: items.", param="items", code="parameter_missing")
    if len(terms.wanted) > 20:
        raise invalid("A subscription can have at most 20 items.", param="items")
    if any(wanted.price is None for wanted in terms.wanted):
        raise invalid("Each item needs a price.", param="items[0][price]", code="parameter_missing")
    names = [(wanted.price or {}).get("id") for wanted in terms.wanted]
    if len(set(names)) != len(names):
        raise invalid("Cannot add multiple subscription items with the same price.", param="items")
    if terms.collection_method == "send_invoice" and terms.days_until_due is None:
        raise invalid(
            "You must pass `days_until_due` when `collection_method` is `send_invoice`.",
            param="days_until_due",
        )


def _check_payable(sim: "Simulator", customer: Obj, terms: Terms, found_lines: list[Obj]) -> None:
    """Refuses what Stripe refuses before anything exists: no card at all, or a failing one under
    `error_if_incomplete`.
    """
    name = terms.default_payment_method or customer["invoice_settings"]["default_payment_method"]
    method = sim.store.get("payment_method", name)
    if terms.default_payment_method and (method is None or method["customer"] != customer["id"]):
        raise no_such(
            "payment_method", terms.default_payment_method, param="default_payment_method", status=400
        )
    needs_money = (
        terms.collection_method == "charge_automatically" and sum(x["amount"] for x in found_lines) > 0
    )
    if not needs_money or terms.behavior == "default_incomplete":
        return
    if method is None:
        raise StripeError(
            400,
            "invalid_request_error",
            "This customer has no attached payment source or default payment method. Please consider "
            "adding a default payment method. For more information, visit "
            "https://docs.stripe.com/billing/subscriptions/payment-methods-setting#payment-method-priority.",
            code="resource_missing",
        )
    if terms.behavior == "error_if_incomplete" and terms.authenticated_intent is None:
        refusal = payments.would_decline(method, off_session=terms.off_session)
        if refusal is not None:
            raise refusal


def _note_end(subscription: Obj, terms: Terms) -> None:
    if terms.cancel_at_period_end:
        subscription["cancel_at_period_end"] = True
        subscription["cancel_at"] = period_end(subscription)
        subscription["canceled_at"] = subscription["created"]
    elif terms.cancel_at is not None:
        subscription["cancel_at"] = terms.cancel_at
        subscription["canceled_at"] = subscription["created"]


def period_end(subscription: Obj) -> int:
    """When the running period ends: the latest end among the items."""
    ends: list[Any] = [item["current_period_end"] for item in subscription["items"]["data"]]
    return int(max(ends))
