"""A subscription changes midway: what is credited, what is charged, and when the change takes hold.

`plan` only computes, so that a preview and the real thing cannot differ by a cent.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.billing_engine import asking, items, lines, periods, prorating, usage
from simulator.errors import invalid, no_such
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


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
            change.prorations += prorating.credit(sim, subscription, before[name], at) + prorating.debit(
                sim, subscription, item, at
            )
        for item in removed:
            change.prorations += prorating.credit(sim, subscription, item, at)
        for item in added:
            change.prorations += prorating.debit(sim, subscription, item, at)
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
    # Periods are half-open: this second is the next period's, if an item goes on reading the same meter.
    read_on = {_meter(sim, item) for item in change.items}
    for item in before.values():
        if usage.is_metered(lines.price_of(sim, item)):
            start, is_last = lines.counted_from(item), _meter(sim, item) not in read_on
            used = lines.for_usage(sim, subscription, item, start, now, is_last=is_last)
            change.charges += [used] if used["amount"] else []
        elif prorates:
            change.prorations += prorating.credit(sim, subscription, item, at)
    change.anchor = now
    for item in change.items:
        price = lines.price_of(sim, item)
        item["current_period_start"] = now
        item["current_period_end"] = periods.end_of(now, price["recurring"], now)
        if not usage.is_metered(price):
            anchored = {**subscription, "billing_cycle_anchor": now}
            change.charges.append(lines.for_period(sim, anchored, item, now, item["current_period_end"]))


def _meter(sim: "Simulator", item: Obj) -> str | None:
    return (lines.price_of(sim, item)["recurring"] or {}).get("meter")


def _interval(sim: "Simulator", item: Obj) -> tuple[str, int]:
    recurring = lines.price_of(sim, item)["recurring"]
    return recurring["interval"], recurring["interval_count"]


def _match_period(item: Obj, before: dict[str, Obj]) -> None:
    """An added item bills together with those of the same rhythm."""
    for old in before.values():
        if old["current_period_end"] == item["current_period_end"]:
            item["current_period_start"] = max(item["current_period_start"], old["current_period_start"])
