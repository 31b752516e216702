"""Subscription schedules: phases that follow one another, carried out by the clock
(docs.stripe.com/billing/subscriptions/subscription-schedules).
"""

from typing import TYPE_CHECKING

from simulator import agenda, events
from simulator.billing_engine import canceling, following, periods, phases, subscribing
from simulator.errors import invalid
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator

LIVE = ("not_started", "active")
_SETTINGS = ("billing_cycle_anchor", "collection_method", "default_payment_method", "description")
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
            phases.entry(one["price"], one["quantity"], one["metadata"], one["tax_rates"])
            for one in subscription["items"]["data"]
        ],
        subscription["currency"],
    )
    if subscription["trial_end"] and subscription["status"] == "trialing":
        phase["trial_end"] = subscription["trial_end"]
    phase |= {
        "default_tax_rates": subscription["default_tax_rates"],
        "discounts": [
            {"coupon": None, "discount": name, "promotion_code": None} for name in subscription["discounts"]
        ],
        "metadata": dict(subscription["metadata"]),
    }
    _take_over(schedule["default_settings"], subscription)
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


def _take_over(settings: Obj, subscription: Obj) -> None:
    """What phases say nothing about stays as the subscription has it."""
    settings |= {
        key: subscription[key] for key in ("collection_method", "default_payment_method", "description")
    }
    settings["automatic_tax"] = phases.tax(subscription["automatic_tax"]["enabled"])
    settings["invoice_settings"]["days_until_due"] = subscription["days_until_due"]


def rewrite(sim: "Simulator", schedule: Obj, params: Params) -> Obj:
    """Other phases; the running one keeps its start, and what it changes holds at once."""
    need_live(schedule)
    with events.change(sim, schedule, "subscription_schedule.updated"):
        if "end_behavior" in params:
            schedule["end_behavior"] = _end_behavior(params)
        _fill_settings(schedule["default_settings"], params.inner("default_settings"))
        schedule["metadata"] = params.metadata(schedule["metadata"])
        if "phases" in params:
            schedule["phases"] = phases.read(sim, params, schedule["phases"][0]["start_date"])
            now = sim.clock.now(schedule)
            at = _phase_at(schedule, now)
            if schedule["current_phase"] is not None:
                _show_current(schedule, at)
    subscription = sim.store.get("subscription", schedule["subscription"])
    if "phases" in params and subscription is not None:
        following.follow(
            sim, schedule, subscription, schedule["phases"][at], prorations=params.text("proration_behavior")
        )
    return schedule


def enter(sim: "Simulator", schedule: Obj, at: int) -> None:
    """A phase begins: the first makes the subscription, a later one changes it."""
    phase = schedule["phases"][at]
    subscription = sim.store.get("subscription", schedule["subscription"])
    is_first = subscription is None
    if subscription is None:
        subscription = following.begin(sim, schedule, phase)
    with events.change(sim, schedule, "subscription_schedule.updated"):
        schedule |= {"status": "active", "subscription": subscription["id"]}
        _show_current(schedule, at)
    if not is_first:
        following.follow(sim, schedule, subscription, phase, begins=True)


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
    settings |= {"collection_method": "charge_automatically", "automatic_tax": phases.tax(False)}
    settings["invoice_settings"]["issuer"] = {"type": "self"}
    _fill_settings(settings, params.inner("default_settings"))
    return schedule


def _fill_settings(settings: Obj, given: Params) -> None:
    settings |= {key: given.text(key) for key in _SETTINGS if key in given}
    if "automatic_tax" in given:
        settings["automatic_tax"] = phases.tax(given.inner("automatic_tax").flag("enabled"))
    days = given.inner("invoice_settings").integer("days_until_due")
    if days is not None:
        settings["invoice_settings"]["days_until_due"] = days


def _end_behavior(params: Params) -> str:
    return params.choice("end_behavior", ("release", "cancel"), "release")


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
    is_told = (schedule.get("_") or {}).get("told_expiring") == last  # none in a file of an earlier version
    return None if is_told or moment < schedule["phases"][0]["start_date"] else moment


def _act(sim: "Simulator", schedule: Obj) -> None:
    """The next phase begins, or after the last one the schedule releases or cancels its subscription."""
    if schedule["status"] == "not_started":
        enter(sim, schedule, 0)
        return
    notice, ended = _notice(schedule), schedule["current_phase"]["end_date"]
    if notice is not None and notice <= sim.clock.now(schedule):
        schedule["_"] = {"told_expiring": schedule["phases"][-1]["end_date"]}
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
