"""A subscription changes midway: what is credited, what is charged, and when the change takes hold.

`plan` only computes, so that a preview and the real thing cannot differ by a cent.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import asking, items, lines, money, periods, usage
from simulator.errors import invalid, no_such
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

PENDING_SECONDS = 23 * 3600


@dataclass
class Change:
    """What a subscription will be, and what that costs now."""

    items: list[Obj]
    anchor: int
    prorations: list[Obj] = field(default_factory=list)
    """Drafts of invoice items."""
    charges: list[Obj] = field(default_factory=list)
    """Lines for a period that starts now."""
    restarts: bool = False
    """The billing cycle starts anew, so Stripe invoices at once."""
    ends_trial: bool = False


def plan(
    sim: "Simulator",
    subscription: Obj,
    wanted: list[items.Wanted],
    *,
    prorates: bool,
    at: int,
    now: int,
    anchor_now: bool = False,
    trial_end: int | None = None,
    ends_trial: bool = False,
) -> Change:
    """The change to `wanted`, counted to the second from `at` (the `proration_date`)."""
    before = {item["id"]: item for item in subscription["items"]["data"]}
    after, changed, added = _merge(sim, subscription, before, wanted, now)
    removed = [item for item in before.values() if item["id"] not in {kept["id"] for kept in after}]
    if not after:
        raise invalid("A subscription must have at least one active plan.", param="items")
    is_trial = subscription["status"] == "trialing"
    change = Change(after, subscription["billing_cycle_anchor"], ends_trial=ends_trial and is_trial)

    if trial_end is not None and trial_end > now:
        change.anchor = trial_end
        for item in after:
            item["current_period_start"], item["current_period_end"] = now, trial_end
        return change
    if is_trial and not ends_trial:
        for item in added:
            item["current_period_end"] = subscription["trial_end"]
        return change

    changes_interval = any(
        _interval(sim, before[name]) != _interval(sim, item) for name, item in changed.items()
    )
    change.restarts = anchor_now or changes_interval or change.ends_trial
    if change.restarts:
        _restart(sim, subscription, change, before, now, prorates=prorates and not is_trial, at=at)
        return change
    for item in added:
        item["current_period_end"] = periods.end_of(
            change.anchor, lines.price_of(sim, item)["recurring"], now
        )
        _match_period(item, before)
    if prorates:
        for name, item in changed.items():
            change.prorations += _credit(sim, subscription, before[name], at) + _debit(
                sim, subscription, item, at
            )
        for item in removed:
            change.prorations += _credit(sim, subscription, item, at)
        for item in added:
            change.prorations += _debit(sim, subscription, item, at)
    return change


def apply(sim: "Simulator", subscription: Obj, change: Change) -> None:
    """Lets the change take hold on the subscription (the caller tells the world)."""
    items.settle(sim, subscription, change.items)
    subscription["billing_cycle_anchor"] = change.anchor
    if change.ends_trial:
        subscription["trial_end"] = sim.clock.now(subscription)
        subscription["status"] = "active"
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = max(item["current_period_end"] for item in change.items)


def keep_proration(sim: "Simulator", subscription: Obj, draft: Obj) -> Obj:
    """Makes a proration a real pending invoice item."""
    sim.save(draft)
    events.emit(sim, "invoiceitem.created", draft)
    return draft


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


def apply_pending(sim: "Simulator", subscription: Obj) -> None:
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


def drop_pending(sim: "Simulator", subscription: Obj) -> None:
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


def unused(sim: "Simulator", subscription: Obj, at: int) -> list[Obj]:
    """Credits for all time not used, as when canceling with `prorate`."""
    return [
        credit for item in subscription["items"]["data"] for credit in _credit(sim, subscription, item, at)
    ]


def _merge(
    sim: "Simulator", subscription: Obj, before: dict[str, Obj], wanted: list[items.Wanted], now: int
) -> tuple[list[Obj], dict[str, Obj], list[Obj]]:
    after = {name: deepcopy(item) for name, item in before.items()}
    changed: dict[str, Obj] = {}
    added: list[Obj] = []
    for entry in wanted:
        name = entry.item
        if name is None:
            added.append(items.make(sim, subscription, entry, start=now, end=now))
            continue
        if name not in after:
            raise no_such("subscription_item", name, param="items[0][id]", status=400)
        if entry.deleted:
            del after[name]
            continue
        item = after[name]
        if entry.metadata is not None:
            item["metadata"] = entry.metadata
        if entry.tax_rates is not None:
            item["tax_rates"] = entry.tax_rates
        old = (item["price"], item["quantity"])
        if entry.price is not None:
            sold = asking.whole(entry.price, subscription["currency"])
            item["price"], item["plan"] = sold["id"], items.plan_of(sold)
            item["quantity"] = None if usage.is_metered(entry.price) else (item["quantity"] or 1)
        if entry.quantity is not None:
            item["quantity"] = entry.quantity
        if (item["price"], item["quantity"]) != old:
            changed[name] = item
    return [*after.values(), *added], changed, added


def _restart(
    sim: "Simulator",
    subscription: Obj,
    change: Change,
    before: dict[str, Obj],
    now: int,
    *,
    prorates: bool,
    at: int,
) -> None:
    staying = {item["id"] for item in change.items}
    for item in before.values():
        if usage.is_metered(lines.price_of(sim, item)):
            used = lines.for_usage(
                sim, subscription, item, item["current_period_start"], now, is_last=item["id"] not in staying
            )
            change.charges += [used] if used["amount"] else []
        elif prorates:
            change.prorations += _credit(sim, subscription, item, at)
    change.anchor = now
    for item in change.items:
        price = lines.price_of(sim, item)
        item["current_period_start"] = now
        item["current_period_end"] = periods.end_of(now, price["recurring"], now)
        if not usage.is_metered(price):
            anchored = {**subscription, "billing_cycle_anchor": now}
            change.charges.append(lines.for_period(sim, anchored, item, now, item["current_period_end"]))


def _credit(sim: "Simulator", subscription: Obj, item: Obj, at: int) -> list[Obj]:
    price = lines.price_of(sim, item)
    if usage.is_metered(price):
        return []
    amount = -_remaining(sim, subscription, item, price, at)
    what = _counted(sim, price, item["quantity"])
    return [
        _proration(
            sim, subscription, item, price, amount, at, f"Unused time on {what} after {periods.shown(at)}"
        )
    ]


def _debit(sim: "Simulator", subscription: Obj, item: Obj, at: int) -> list[Obj]:
    price = lines.price_of(sim, item)
    if usage.is_metered(price):
        return []
    amount = _remaining(sim, subscription, item, price, at)
    what = _counted(sim, price, item["quantity"])
    text = f"Remaining time on {what} after {periods.shown(at)}"
    return [_proration(sim, subscription, item, price, amount, at, text)]


def _remaining(sim: "Simulator", subscription: Obj, item: Obj, price: Obj, at: int) -> int:
    end = item["current_period_end"]
    start = periods.start_of(subscription["billing_cycle_anchor"], price["recurring"], end)
    left = max(0, end - max(at, item["current_period_start"]))
    return money.share(money.cost(price, item["quantity"] or 0), left, end - start)


def _proration(
    sim: "Simulator", subscription: Obj, item: Obj, price: Obj, amount: int, at: int, description: str
) -> Obj:
    now = sim.clock.now(subscription)
    quantity = item["quantity"] or 0
    return new(
        "invoiceitem",
        amount=amount,
        currency=price["currency"],
        customer=subscription["customer"],
        date=now,
        description=description,
        discountable=True,
        discounts=[],
        frozen_fields=[],
        metadata=dict(subscription["metadata"]),
        net_amount=amount,
        parent={
            "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
            "type": "subscription_details",
        },
        period={"start": at, "end": item["current_period_end"]},
        pricing=lines.pricing(price),
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=list(item["tax_rates"]),
        test_clock=subscription["test_clock"],
    )


def _counted(sim: "Simulator", price: Obj, quantity: int | None) -> str:
    name = lines.name_of(sim, price)
    return name if quantity in (None, 1) else f"{quantity} × {name}"


def _interval(sim: "Simulator", item: Obj) -> tuple[str, int]:
    recurring = lines.price_of(sim, item)["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _match_period(item: Obj, before: dict[str, Obj]) -> None:
    """An added item bills together with those of the same rhythm."""
    for old in before.values():
        if old["current_period_end"] == item["current_period_end"]:
            item["current_period_start"] = max(item["current_period_start"], old["current_period_start"])
