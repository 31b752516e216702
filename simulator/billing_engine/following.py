"""A scheduled subscription is made into what its phase says, as requests for the same would."""

from typing import TYPE_CHECKING, Any

from simulator.billing_engine import extras, items, lines, phases, subscribing, terms, updating, usage
from simulator.params import Params
from simulator.resources import prices
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def begin(sim: "Simulator", schedule: Obj, phase: Obj) -> Obj:
    """The subscription of a schedule's first phase."""
    customer = sim.store.get("customer", schedule["customer"]) or {}
    said = phases.settings(schedule, phase)
    has_card = said.get("default_payment_method") or customer["invoice_settings"]["default_payment_method"]
    asked = said | {
        "items": [_entry(sim, one) for one in phase["items"]],
        "discounts": _discounts(phase),
        "currency": phase["currency"],
        "off_session": "true",
        "payment_behavior": "allow_incomplete" if has_card else "default_incomplete",
        "add_invoice_items": phases.extras(phase),
        "trial_end": _trial_end(phase, sim.clock.now(customer)),
    }
    found = terms.read(sim, customer, Params(asked))
    found.schedule = schedule["id"]
    return subscribing.begin(sim, customer, found)


def follow(
    sim: "Simulator",
    schedule: Obj,
    subscription: Obj,
    phase: Obj,
    *,
    prorations: str | None = None,
    begins: bool = False,
) -> None:
    """Makes the subscription what the phase says; `begins`: with what is charged once as it begins."""
    before = {one["price"]: one for one in subscription["items"]["data"]}
    spare = [one for one in before.values() if one["price"] not in {e["price"] for e in phase["items"]}]
    values: list[dict[str, Any]] = []
    for entry in phase["items"]:
        old = before.get(entry["price"]) or (spare.pop(0) if spare else None)
        wanted = _entry(sim, entry) | ({"id": old["id"]} if old else {})
        if entry["price"] in before:
            del wanted["price"]  # it stays, also one that was archived since the phases were written
        values.append(wanted)
    values += [{"id": old["id"], "deleted": "true"} for old in spare]
    now = sim.clock.now(subscription)
    is_boundary = all(one["current_period_end"] <= now for one in before.values())
    behavior = "none" if is_boundary else prorations or phase["proration_behavior"]
    asked: dict[str, Any] = {"proration_behavior": behavior, **phases.settings(schedule, phase)}
    if [_facts(one) for one in before.values()] != [_facts(one) for one in phase["items"]]:
        asked["items"] = values
    anchor = phase["billing_cycle_anchor"] or schedule["default_settings"]["billing_cycle_anchor"]
    if begins and anchor == "phase_start":
        asked["billing_cycle_anchor"] = "now"
    if not subscription["discounts"] and (still := _discounts_left(sim, phase, now)):
        asked["discounts"] = still
    if begins and phase["add_invoice_items"]:
        asked["add_invoice_items"] = phases.extras(phase)
    trial_end = _trial_end(phase, now)
    if trial_end and int(trial_end) != subscription["trial_end"]:
        asked["trial_end"] = trial_end
    updating.update(sim, subscription, Params(asked))
    _meter_from_now_on(sim, subscription, set(before))


def _meter_from_now_on(sim: "Simulator", subscription: Obj, before: set[str]) -> None:
    """What is used before an item has a metered price is not that price's."""
    for item in subscription["items"]["data"]:
        if item["price"] not in before and usage.is_metered(lines.price_of(sim, item)):
            item["_"] = {**(item.get("_") or {}), "metered_since": sim.clock.now(subscription)}
    sim.save(subscription)


def as_phase_says(sim: "Simulator", subscription: Obj, phase: Obj | None, at: int) -> Obj:
    """A copy of the subscription as a phase that begins at `at` will leave it; usage until then stays billed."""
    if phase is None:
        return subscription
    ended = [
        item
        for item in subscription["items"]["data"]
        if usage.is_metered(lines.price_of(sim, item))
        and item["price"] not in {entry["price"] for entry in phase["items"]}
    ]
    known = {item["price"]: item for item in subscription["items"]["data"]}
    follows = []
    for entry in phase["items"]:
        made = items.make(sim, subscription, _wanted(sim, entry), start=at, end=at)
        follows.append(
            {**known[entry["price"]], "quantity": made["quantity"], "tax_rates": made["tax_rates"]}
            if entry["price"] in known
            else made
        )
    listed = {**subscription["items"], "data": [*ended, *follows]}
    taxes = phase["default_tax_rates"] or subscription["default_tax_rates"]
    automatic = phase["automatic_tax"] or subscription["automatic_tax"]
    return {**subscription, "items": listed, "default_tax_rates": taxes, "automatic_tax": automatic}


def extra_lines(sim: "Simulator", subscription: Obj, phase: Obj | None) -> list[Obj]:
    """What a phase adds to its first invoice, as drafts of invoice items."""
    customer = sim.store.get("customer", subscription["customer"])
    if phase is None or customer is None:
        return []
    return extras.read(
        sim,
        Params({"add_invoice_items": phases.extras(phase)}),
        customer=customer,
        currency=subscription["currency"],
        subscription=subscription["id"],
    )


def _entry(sim: "Simulator", one: Obj) -> dict[str, Any]:
    wanted = _wanted(sim, one)
    found: dict[str, Any] = {"price": one["price"], "tax_rates": [rate["id"] for rate in one["tax_rates"]]}
    if wanted.quantity is not None:
        found["quantity"] = str(wanted.quantity)
    return found | ({"metadata": one["metadata"]} if one["metadata"] else {})


def _wanted(sim: "Simulator", entry: Obj) -> items.Wanted:
    price = prices.need(sim, entry["price"])
    quantity = None if usage.is_metered(price) else entry["quantity"]
    return items.Wanted(price, quantity, None, False, entry["metadata"] or None, entry["tax_rates"])


def _facts(one: Obj) -> tuple[str, int | None, list[str]]:
    return one["price"], one["quantity"], [rate["id"] for rate in one["tax_rates"]]


def _discounts(phase: Obj) -> list[dict[str, str]]:
    return [{name: value for name, value in one.items() if value} for one in phase["discounts"]]


def _discounts_left(sim: "Simulator", phase: Obj, now: int) -> list[dict[str, str]]:
    """Without those named by the discount itself that are over since: they are not given a second time."""
    found = []
    for one in _discounts(phase):
        discount = sim.store.get("discount", one["discount"]) if "discount" in one else None
        is_over = "discount" in one and (discount is None or (discount["end"] or now + 1) <= now)
        if not is_over:
            found.append(one)
    return found


def _trial_end(phase: Obj, now: int) -> str:
    ends = phase["trial_end"]
    return str(ends) if ends is not None and ends > now else ""
