"""Subscription schedules: phases that follow one another, carried out by the clock
(docs.stripe.com/billing/subscriptions/subscription-schedules).
"""

from typing import TYPE_CHECKING, Any

from simulator import agenda, events
from simulator.billing_engine import canceling, discounts, items, periods, phases, subscribing, updating
from simulator.errors import invalid
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

LIVE = ("not_started", "active")
EXPIRY_NOTICE = 7 * periods.DAY


def begin(sim: "Simulator", customer: Obj, params: Params) -> Obj:
    """A schedule of its own; its subscription begins with the first phase."""
    now = sim.clock.now(customer)
    start = now if params.text("start_date") in (None, "now") else params.integer("start_date") or now
    schedule = _frame(sim, customer, params)
    schedule["phases"] = phases.read(sim, params, start)
    schedule["status"] = "not_started"
    events.created(sim, schedule)
    if start <= now:
        enter(sim, schedule, 0)
    return schedule


def adopt(sim: "Simulator", subscription: Obj, params: Params) -> Obj:
    """`from_subscription`: one phase, the running period as it is."""
    if subscription["schedule"]:
        raise invalid(
            f"The subscription is already managed by the subscription schedule {subscription['schedule']}.",
            param="from_subscription",
        )
    if set(params) - {"from_subscription", "metadata", "expand"}:
        raise invalid(
            "You cannot set other parameters when using `from_subscription`.", param="from_subscription"
        )
    customer = sim.store.get("customer", subscription["customer"]) or {}
    schedule = _frame(sim, customer, params)
    start = min(item["current_period_start"] for item in subscription["items"]["data"])
    phase = phases.frame(
        start,
        subscribing.period_end(subscription),
        [
            phases.entry(one["price"], one["quantity"], one["metadata"])
            for one in subscription["items"]["data"]
        ],
        subscription["currency"],
    )
    if subscription["trial_end"] and subscription["status"] == "trialing":
        phase["trial_end"] = subscription["trial_end"]
    schedule |= {
        "phases": [phase],
        "status": "active",
        "subscription": subscription["id"],
        "current_phase": {"start_date": phase["start_date"], "end_date": phase["end_date"]},
        "end_behavior": "release",
    }
    subscription["schedule"] = schedule["id"]
    sim.save(subscription)
    return events.created(sim, schedule)


def rewrite(sim: "Simulator", schedule: Obj, params: Params) -> Obj:
    """Other phases; the running one keeps its start, and what it changes holds at once."""
    need_live(schedule)
    with events.change(sim, schedule, "subscription_schedule.updated"):
        if "end_behavior" in params:
            schedule["end_behavior"] = _end_behavior(params)
        schedule["metadata"] = params.metadata(schedule["metadata"])
        if "phases" in params:
            schedule["phases"] = phases.read(sim, params, schedule["phases"][0]["start_date"])
            now = sim.clock.now(schedule)
            at = _phase_at(schedule, now)
            if schedule["current_phase"] is not None:
                _show_current(schedule, at)
    subscription = sim.store.get("subscription", schedule["subscription"])
    if "phases" in params and subscription is not None:
        _follow(sim, schedule, subscription, schedule["phases"][at], params.text("proration_behavior"))
    return schedule


def enter(sim: "Simulator", schedule: Obj, at: int) -> None:
    """A phase begins: the first makes the subscription, a later one changes it."""
    phase = schedule["phases"][at]
    subscription = sim.store.get("subscription", schedule["subscription"])
    customer = sim.store.get("customer", schedule["customer"]) or {}
    if subscription is None:
        wanted = [_wanted(sim, one) for one in phase["items"]]
        card = schedule["default_settings"]["default_payment_method"]
        has_default = customer["invoice_settings"]["default_payment_method"] is not None
        terms = subscribing.Terms(
            wanted=wanted,
            trial_end=phase["trial_end"],
            behavior="allow_incomplete" if card or has_default else "default_incomplete",
            off_session=True,
            metadata=dict(phase["metadata"]),
            collection_method=phase["collection_method"] or "charge_automatically",
            days_until_due=(phase["invoice_settings"] or {}).get("days_until_due"),
            discounts=_discounts(sim, schedule, phase),
            default_payment_method=card,
            schedule=schedule["id"],
        )
        subscription = subscribing.begin(sim, customer, terms)
    with events.change(sim, schedule, "subscription_schedule.updated"):
        schedule |= {"status": "active", "subscription": subscription["id"]}
        _show_current(schedule, at)
    _follow(sim, schedule, subscription, phase, phase["proration_behavior"])


def release(sim: "Simulator", schedule: Obj) -> Obj:
    """The schedule lets go; the subscription goes on as it is."""
    need_live(schedule)
    subscription = sim.store.get("subscription", schedule["subscription"])
    if subscription is not None:
        subscription["schedule"] = None
        sim.save(subscription)
    schedule |= {
        "status": "released",
        "released_at": sim.clock.now(schedule),
        "released_subscription": schedule["subscription"],
        "subscription": None,
        "current_phase": None,
    }
    sim.save(schedule)
    events.emit(sim, "subscription_schedule.released", schedule)
    return schedule


def cancel(sim: "Simulator", schedule: Obj, *, invoice_now: bool = True) -> Obj:
    """The schedule ends and its subscription with it, at once."""
    need_live(schedule)
    schedule |= {"status": "canceled", "canceled_at": sim.clock.now(schedule), "current_phase": None}
    sim.save(schedule)
    subscription = sim.store.get("subscription", schedule["subscription"])
    if subscription is not None and subscription["status"] not in ("canceled", "incomplete_expired"):
        canceling.end(sim, subscription, reason="cancellation_requested", invoice_now=invoice_now)
    events.emit(sim, "subscription_schedule.canceled", schedule)
    return schedule


def need_live(schedule: Obj) -> None:
    """Refuses what is over."""
    if schedule["status"] not in LIVE:
        raise invalid(
            "You cannot change a subscription schedule that is "
            f"{schedule['status']}: only one that is not_started or active.",
        )


def as_phase_says(sim: "Simulator", subscription: Obj, phase: Obj | None, at: int) -> Obj:
    """A copy of the subscription as a phase that begins at `at` will leave it; usage until then stays billed."""
    from simulator.billing_engine import lines, usage

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
            {**known[entry["price"]], "quantity": made["quantity"]} if entry["price"] in known else made
        )
    listed = {**subscription["items"], "data": [*ended, *follows]}
    return {**subscription, "items": listed}


def _frame(sim: "Simulator", customer: Obj, params: Params) -> Obj:
    now = sim.clock.now(customer)
    schedule = new(
        "subscription_schedule",
        billing_mode={"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now},
        created=now,
        customer=customer["id"],
        end_behavior=_end_behavior(params),
        metadata=params.metadata(),
        test_clock=customer["test_clock"],
    )
    schedule["_"] = {}
    settings = schedule["default_settings"]
    settings |= {"collection_method": "charge_automatically"}
    settings["invoice_settings"]["issuer"] = {"type": "self"}
    given = params.inner("default_settings")
    settings |= {
        key: given.text(key) for key in ("collection_method", "default_payment_method") if key in given
    }
    return schedule


def _end_behavior(params: Params) -> str:
    return params.choice("end_behavior", ("release", "cancel"), "release")


def _wanted(sim: "Simulator", entry: Obj, item: str | None = None) -> items.Wanted:
    from simulator.billing_engine import usage
    from simulator.resources import prices

    price = prices.need(sim, entry["price"])
    quantity = None if usage.is_metered(price) else entry["quantity"]
    return items.Wanted(price, quantity, item, False, entry["metadata"] or None)


def _follow(sim: "Simulator", schedule: Obj, subscription: Obj, phase: Obj, prorations: str | None) -> None:
    """Makes the subscription what the phase says, as an update of it would."""
    before = {one["price"]: one for one in subscription["items"]["data"]}
    spare = [one for one in before.values() if one["price"] not in {e["price"] for e in phase["items"]}]
    values: list[dict[str, str]] = []
    for entry in phase["items"]:
        old = before.get(entry["price"]) or (spare.pop(0) if spare else None)
        wanted = _wanted(sim, entry)
        value = {"price": entry["price"]} | ({"id": old["id"]} if old else {})
        values.append(value | ({"quantity": str(wanted.quantity)} if wanted.quantity is not None else {}))
    values += [{"id": old["id"], "deleted": "true"} for old in spare]
    now = sim.clock.now(subscription)
    is_boundary = all(one["current_period_end"] <= now for one in before.values())
    behavior = "none" if is_boundary else prorations or phase["proration_behavior"]
    asked: dict[str, Any] = {"proration_behavior": behavior}
    if [(one["price"], one["quantity"]) for one in before.values()] != [
        (one["price"], one["quantity"]) for one in phase["items"]
    ]:
        asked["items"] = values
        if phase["billing_cycle_anchor"] == "phase_start":
            asked["billing_cycle_anchor"] = "now"
    if phase["metadata"]:
        asked["metadata"] = dict(phase["metadata"])
    if phase["discounts"] and not subscription["discounts"]:
        asked["discounts"] = [{k: v for k, v in one.items() if v} for one in phase["discounts"]]
    if len(asked) > 1:
        updating.update(sim, subscription, Params(asked))


def _discounts(sim: "Simulator", schedule: Obj, phase: Obj) -> list[str]:
    return [
        discounts.redeem(
            sim, coupon=one["coupon"], promotion_code=one["promotion_code"], customer=schedule["customer"]
        )["id"]
        for one in phase["discounts"]
    ]


def _show_current(schedule: Obj, at: int) -> None:
    phase = schedule["phases"][at]
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def _phase_at(schedule: Obj, now: int) -> int:
    for at, phase in enumerate(schedule["phases"]):
        if now < phase["end_date"]:
            return at
    return len(schedule["phases"]) - 1


def _when(sim: "Simulator", schedule: Obj) -> int | None:
    if schedule["status"] == "not_started":
        return int(schedule["phases"][0]["start_date"])
    if schedule["status"] != "active":
        return None
    ends = int(schedule["current_phase"]["end_date"])
    return min(ends, _notice(schedule) or ends)


def _notice(schedule: Obj) -> int | None:
    """When to say that the schedule will be over; never for one that begins later than that."""
    last = schedule["phases"][-1]["end_date"]
    moment = int(last) - EXPIRY_NOTICE
    is_told = schedule["_"].get("told_expiring") == last
    return None if is_told or moment < schedule["phases"][0]["start_date"] else moment


def _act(sim: "Simulator", schedule: Obj) -> None:
    """The next phase begins, or after the last one the schedule releases or cancels its subscription."""
    if schedule["status"] == "not_started":
        enter(sim, schedule, 0)
        return
    notice, ended = _notice(schedule), schedule["current_phase"]["end_date"]
    if notice is not None and notice <= sim.clock.now(schedule):
        schedule["_"]["told_expiring"] = schedule["phases"][-1]["end_date"]
        sim.save(schedule)
        events.emit(sim, "subscription_schedule.expiring", schedule)
        return
    following = [at for at, phase in enumerate(schedule["phases"]) if phase["start_date"] >= ended]
    if following:
        enter(sim, schedule, following[0])
    elif schedule["end_behavior"] == "cancel":
        _complete(sim, schedule)
    else:
        # The tool Stripe ships expects `completed` of a schedule that lets go after its last phase.
        schedule["completed_at"] = sim.clock.now(schedule)
        sim.save(schedule)
        events.emit(sim, "subscription_schedule.completed", schedule)
        release(sim, schedule)


def _complete(sim: "Simulator", schedule: Obj) -> None:
    schedule |= {"status": "completed", "completed_at": sim.clock.now(schedule), "current_phase": None}
    sim.save(schedule)
    subscription = sim.store.get("subscription", schedule["subscription"])
    if subscription is not None and subscription["status"] not in ("canceled", "incomplete_expired"):
        canceling.end(sim, subscription, reason="cancellation_requested")
    events.emit(sim, "subscription_schedule.completed", schedule)


@events.follows("customer.subscription.deleted")
def _left_alone(sim: "Simulator", subscription: Obj) -> None:
    """A subscription canceled directly takes its schedule with it; one that ended unpaid aborts it."""
    schedule = sim.store.get("subscription_schedule", subscription["schedule"])
    if schedule is not None and schedule["status"] in LIVE:
        schedule |= {"status": "canceled", "canceled_at": sim.clock.now(schedule), "current_phase": None}
        sim.save(schedule)
        is_unpaid = (subscription["cancellation_details"] or {}).get("reason") == "payment_failed"
        events.emit(sim, f"subscription_schedule.{'aborted' if is_unpaid else 'canceled'}", schedule)


# Before the subscription itself: a phase that begins when a period ends decides what that period costs.
agenda.duty("subscription_schedule", _when, _act, early=True)
