"""A lost dispute puts the account on hold and ends its plan with what is paid; forgiven before that day, it goes on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import F

from accounts.models import Account
from billing.changes import telling, waiting
from billing.lifecycle import dispute_alerts, dispute_ends, schedules, stopped_invoices
from billing.lifecycle.lease import Held
from billing.messages import disputes as messages
from billing.messages.words import iso, plan_name
from billing.models import Customer, Effect, PlanChange, Subscription
from billing.models.subscriptions import Status
from billing.signals import subscription_about_to_change
from billing.stripe import disputes, gateway, shapes
from billing.stripe.shapes import Doc, moment
from billing.stripe.truth import Truth

# Nothing of the running period is paid, and what is open would be tried again: these end at once.
UNPAID = (Status.PAST_DUE, Status.UNPAID, Status.INCOMPLETE, Status.PAUSED)


def follow(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """Write the gravest state of the account's disputes on its row and see to its plan. Answers True when something was
    done at Stripe: then ask anew.

    It goes by the state and not by the letter, so a letter that came twice, late or never makes no difference, and a
    plan that is resumed or bought while the account is on hold ends as well. `now` is the account's time. Raises
    LeaseLost and the gateway's errors.
    """
    customer = held.customer
    said = truth.disputes
    state = disputes.state(said, was=customer.dispute_state)
    found = said.found if said else []
    if said and found:
        with held.saving():
            disputes.remember(said, account=account, now=now)
    if state == "lost":
        # On hold first, whatever Stripe answers next.
        _write(state, held=held, was=customer.dispute_state)
        did = _close_pages(truth, held=held)
        for subscription in truth.live():
            did |= _end(subscription, truth, found, account=account, held=held, now=now)
        if not did:
            _tell_lost(found, truth, account=account, held=held, now=now)
        return did
    if customer.dispute_state == "lost" and _let_go_on(truth, account=account, held=held, now=now):
        return True
    _tell(found, state, truth, account=account, held=held, was=customer.dispute_state, now=now)
    return False


def _write(state: str, *, held: Held, was: str) -> None:
    if state != was:
        with held.saving() as customer:
            _put(state, customer)


def _put(state: str, customer: Customer) -> None:
    Customer.objects.filter(pk=customer.pk).update(
        dispute_state=state, access_version=F("access_version") + 1
    )


def _close_pages(truth: Truth, *, held: Held) -> bool:
    """Nobody is to pay at the till for what they would not get."""
    waiting = [name for name, session in truth.sessions.items() if session["status"] == "open"]
    for name in waiting:
        held.renew()
        try:
            gateway.post(f"/v1/checkout/sessions/{name}/expire", idempotency_key=f"expire:{name}")
        except gateway.InvalidRequest as error:
            # Paid or expired in this very moment, which is looked at next.
            if error.code == "resource_missing":
                raise
    return bool(waiting)


def _end(
    subscription: Doc,
    truth: Truth,
    found: list[dict[str, Any]],
    *,
    account: Account,
    held: Held,
    now: datetime,
) -> bool:
    """End it with what is paid, and let nothing be collected any more but what was used."""
    invoices = [one for one in truth.invoices if shapes.invoice_subscription_id(one) == subscription["id"]]
    did = not _is_all_by_use(subscription) and stopped_invoices.stop(
        invoices, account=account, held=held, now=now
    )
    agreed = _agreed_end(subscription, truth)
    how = _how(subscription, invoices, agreed)
    if not how:
        return did
    told = dispute_ends.ours(subscription["id"])
    with held.saving():
        Effect.objects.update_or_create(
            key=dispute_ends.key_of(subscription["id"]),
            defaults={
                "kind": dispute_ends.KIND,
                "account": account,
                "created_at": now,
                "done_at": None,
                "detail": {
                    "subscription": subscription["id"],
                    "how": how,
                    # Let go of its schedule and not ended yet: then only we know what was agreed.
                    "before": agreed or (told.detail["before"] if told and not told.done_at else None),
                    "let_go": _under_way(subscription) or (told.detail.get("let_go") if told else []),
                    "became": "",
                },
            },
        )
    # What was used is at Stripe before anything ends; if it cannot be, nothing has been touched yet.
    subscription_about_to_change.send(Subscription, account=account, now=now)
    held.renew()
    try:
        _ask_to_end(subscription, how, found, held=held)
    except gateway.NotFound:
        return True  # ended by somebody else in between, which is what was wanted
    except gateway.InvalidRequest as refusal:
        what = f"end its subscription {subscription['id']}"
        dispute_alerts.not_ended(
            subscription["id"], what, refusal.message, account=account, held=held, now=now
        )
        if told is not None:
            # Nothing has become of the plan since it was told.
            with held.saving():
                Effect.objects.filter(pk=told.pk).update(done_at=told.done_at)
        return did
    held.renew()
    # Before it is told, so that the message says what is off.
    waiting.call_off_all(held=held)
    return True


def _under_way(subscription: Doc) -> list[int]:
    """What was planned, or waits for its payment, goes with the plan."""
    changes = PlanChange.objects.filter(stripe_subscription_id=subscription["id"]).open()
    return list(changes.exclude(state=PlanChange.State.STARTED).values_list("pk", flat=True))


def _agreed_end(subscription: Doc, truth: Truth) -> int | None:
    """The last day of a contract, or of a schedule that ends the plan: only the schedule itself says so."""
    schedule = truth.schedules.get(subscription["id"])
    ends = [subscription["cancel_at"]]
    if schedule and schedule["end_behavior"] == "cancel" and schedule["phases"]:
        ends.append(schedule["phases"][-1]["end_date"])
    return min((end for end in ends if end), default=None)


def _how(subscription: Doc, invoices: list[dict[str, Any]], ends: int | None) -> str:
    """ "at_once", "period_end", "date" (sooner than a contract says), or "": it ends soon enough."""
    is_drafted = not _is_all_by_use(subscription) and any(
        one["status"] == "draft" and one["billing_reason"] == "subscription_cycle" and one["total"] > 0
        for one in invoices
    )
    if subscription["status"] in UNPAID or is_drafted:
        return "at_once"
    if subscription["cancel_at_period_end"] or (ends and ends <= _paid_until(subscription)):
        return ""
    return "date" if ends else "period_end"


def _ask_to_end(subscription: Doc, how: str, found: list[dict[str, Any]], *, held: Held) -> None:
    path = f"/v1/subscriptions/{subscription['id']}"
    if how == "at_once":
        has_usage = any(shapes.is_metered(item["price"]) for item in shapes.items(subscription))
        gateway.delete(path, {"invoice_now": has_usage, "prorate": False})
        return
    scheduled = shapes.id_of(subscription.get("schedule"))
    if scheduled:
        schedules.release(scheduled)
        held.renew()
    wanted: dict[str, Any] = (
        {"cancel_at": _paid_until(subscription), "proration_behavior": "none"}
        if how == "date"
        else {"cancel_at_period_end": True}
    )
    names = ", ".join(dispute["id"] for dispute in disputes.lost(found))
    gateway.post(
        path,
        {**wanted, "cancellation_details": {"comment": f"A dispute was lost. {names}".strip()}},
        # The lease's token is committed and never comes again: who resumes it meanwhile is ended anew.
        idempotency_key=f"{dispute_ends.key_of(subscription['id'])}:{held.token}",
    )


def _let_go_on(truth: Truth, *, account: Account, held: Held, now: datetime) -> bool:
    """Take back what we did, where it is still as we left it: who canceled meanwhile has canceled."""
    did = False
    for done in Effect.objects.filter(account=account, kind=dispute_ends.KIND, detail__became=""):
        subscription = next(
            (one for one in truth.live() if one["id"] == done.detail["subscription"]),
            None,
        )
        became = "over" if subscription is None else "taken over"
        if subscription is not None and _is_as_we_left_it(subscription, done):
            became = dispute_ends.TAKEN_BACK
            held.renew()
            before = done.detail["before"]
            try:
                gateway.post(
                    f"/v1/subscriptions/{subscription['id']}",
                    {"cancel_at": before} if before else {"cancel_at_period_end": False},
                    idempotency_key=f"{done.key}:back:{held.token}",
                )
                did = True
            except gateway.InvalidRequest as refusal:
                became = "not taken back"
                dispute_alerts.not_taken_back(
                    subscription["id"], refusal.message, account=account, held=held, now=now
                )
        with held.saving():
            dispute_ends.take_over(done.detail["subscription"], became=became)
    live = [one["id"] for one in truth.live()]
    return stopped_invoices.go_on(live, account=account, held=held, now=now) or did


def _is_as_we_left_it(subscription: Doc, done: Effect) -> bool:
    is_ending = (
        subscription["cancel_at"] is not None and not subscription["cancel_at_period_end"]
        if done.detail["how"] == "date"
        else subscription["cancel_at_period_end"]
    )
    # None: whoever did it was killed before it could be noted.
    return is_ending and done.detail.get("canceled_at") in (None, subscription["canceled_at"])


def _tell_lost(
    found: list[dict[str, Any]], truth: Truth, *, account: Account, held: Held, now: datetime
) -> None:
    """One message and one alert for each dispute that was lost, and again when another plan was ended for it."""
    done = Effect.objects.filter(account=account, kind=dispute_ends.KIND, detail__became="").last()
    with held.saving():
        is_news = done is not None and done.done_at is None
        if done is not None and is_news:
            subscription = _by_id(done.detail["subscription"], truth)
            canceled_at = subscription["canceled_at"] if subscription else None
            Effect.objects.filter(pk=done.pk).update(
                done_at=now, detail={**done.detail, "canceled_at": canceled_at}
            )
        plan = _plan(truth, done)
        for dispute in disputes.lost(found):
            goes_on = done is not None and done.detail["how"] != "at_once"
            for fact in (dispute["id"], *([f"{dispute['id']}:{held.token}"] if is_news else [])):
                if messages.tell_lost(account, fact=fact, now=now, goes_on=goes_on, **plan):
                    break
            became = _in_words(plan)
            disputes.tell_staff(dispute, account=account, now=now, became=became, is_news=is_news)
        for dispute in disputes.undecided(found):
            messages.tell_opened(account, dispute=dispute, is_on_hold=True, now=now)
        for dispute in found:
            disputes.tell_staff(dispute, account=account, now=now)


def _tell(
    found: list[dict[str, Any]],
    state: str,
    truth: Truth,
    *,
    account: Account,
    held: Held,
    was: str,
    now: datetime,
) -> None:
    if state == was and not found:
        return
    with held.saving() as customer:
        if state != was:
            _put(state, customer)
            if was == "lost":
                dispute_alerts.hold_is_over(account, now=now)
            plan = _plan(truth, None) if was == "lost" else {}
            if state == "":
                disputes.nothing_left(found, account=account, now=now)
            if was == "lost" or state == "":
                messages.tell_over(
                    account,
                    state=state,
                    version=customer.access_version + 1,
                    now=now,
                    was_lost=was == "lost",
                    **plan,
                )
        for dispute in disputes.undecided(found):
            messages.tell_opened(account, dispute=dispute, is_on_hold=False, now=now)
        for dispute in found:
            disputes.tell_staff(dispute, account=account, now=now)


def _plan(truth: Truth, done: Effect | None) -> dict[str, Any]:
    """What becomes of the plan, for messages: the one that runs, else the one we ended."""
    running = truth.live()
    subscription = running[0] if running else _by_id(done.detail["subscription"], truth) if done else None
    if subscription is None:
        return {}
    row = Subscription.objects.filter(stripe_subscription_id=subscription["id"]).first()
    ends = subscription["cancel_at"] or (
        _paid_until(subscription) if subscription["cancel_at_period_end"] else None
    )
    return {
        **telling.taken_back(one for one in dispute_ends.let_go(subscription["id"]) if _is_off(one)),
        "plan": plan_name(row.plan_key) if row else "",
        "is_over": not running,
        "ends_at": iso(moment(ends)) if running else None,
        "next_at": iso(moment(_paid_until(subscription))) if running and not ends else None,
        "by_use": any(shapes.is_metered(item["price"]) for item in shapes.items(subscription)),
    }


def _is_off(change: PlanChange) -> bool:
    """Not what was paid in the last moment, nor what Stripe would not call off."""
    is_called_off = change.state == PlanChange.State.UNDONE or change.failure == PlanChange.CALLED_OFF
    return change.is_later or is_called_off


def _in_words(plan: dict[str, Any]) -> str:
    if not plan:
        return "There was no plan to end."
    name = plan["plan"] or "Its plan"
    if plan["is_over"]:
        return f"{name} has ended, as nothing more was paid."
    if plan["ends_at"]:
        day = f"{datetime.fromisoformat(plan['ends_at']):%-d %B %Y}"
        charged = (
            "what was used before is charged on that day, and nothing else"
            if plan["by_use"]
            else "nothing more is charged"
        )
        return f"{name} ends on {day}; {charged}. Forgiven before that day, it goes on.{_off_in_words(plan)}"
    return f"{name} goes on: end it at Stripe."


def _off_in_words(plan: dict[str, Any]) -> str:
    planned = plan.get("taken_back")
    return f" What was planned, {planned}, is off, and to be planned anew by the customer." if planned else ""


def _by_id(name: str, truth: Truth) -> dict[str, Any] | None:
    return next((one for one in truth.subscriptions if one["id"] == name), None)


def _is_all_by_use(subscription: Doc) -> bool:
    """Who pays by use owes what was used before the hold, and nothing for time."""
    return all(shapes.is_metered(item["price"]) for item in shapes.items(subscription))


def _paid_until(subscription: Doc) -> int:
    ends = [item["current_period_end"] for item in shapes.items(subscription)]
    return int(max(ends, default=0) or shapes.sub_period(subscription)[1] or 0)
