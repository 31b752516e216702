"""A campaign is carried out a few accounts at a time: told, moved before the renewal, stopped or undone when asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from accounts.notifications import notify, overtake
from billing import alerts, catalog, clock
from billing.anchors import months_after
from billing.lifecycle import archived, subscriptions
from billing.messages import reminders
from billing.models import Alert, PlanChange, PriceRise, PriceRiseStep, Subscription
from billing.price_rises import coming
from billing.stripe import gateway, shapes
from billing.stripe.truth import TERMINAL_STATUSES

log = structlog.get_logger(__name__)

State = PriceRiseStep.State
# The price moves so long before the renewal, so that what is told ahead of the charge is the new sum already
# (billing.messages.reminders: three days, thirty on yearly prices). It is charged at the renewal, not before.
AHEAD = {False: timedelta(days=4), True: timedelta(days=31)}
SWEEP_SECONDS = 45
# Staff's page does not wait longer for all to be told that it is off; the sweeper tells the others.
STOP_SECONDS = 15
# What Stripe could not be asked for so long after a stop is for staff to see.
TROUBLE = timedelta(hours=1)
# What keeps one account waiting for the next turn, and the others from nothing.
WAITS = (subscriptions.Busy, subscriptions.NothingToChange, gateway.StripeError)


def carry_on(*, now: datetime, limit: int = 200) -> int:
    """For the sweeper: tell and move whoever is due, each in its account's time; answers how many steps changed.

    `now` is wall time. Killed midway it goes on where it stopped; an account in trouble is tried again next turn.
    """
    started = time.monotonic()
    changed = 0
    for step in PriceRiseStep.objects.unfinished().select_related("rise", "account").order_by("?")[:limit]:
        if time.monotonic() - started > SWEEP_SECONDS:
            break
        is_over = step.rise.stopped_at is not None
        try:
            changed += _end(step, now=now) if is_over else _take(step, now=clock.at(step.account, now=now))
        except WAITS as error:
            log.warning("price_rise_step_waits", step=step.pk, error=type(error).__name__)
            if is_over:
                _look_whether_staff_must_help(step, error, now=now)
    return changed


@dataclass(frozen=True)
class Stopped:
    """How many had been told and hear that it is off, how many had not been told, how many the sweeper sees to. And
    how many stay moved, charged the new price already or at the renewal ahead, or are to have the old one again.
    """

    is_new: bool
    told: int
    untold: int
    later: int
    charged: int
    ahead: int
    undoing: int

    def __str__(self) -> str:
        """For staff."""
        if not self.is_new:
            said = "It was stopped before."
            if self.told:
                said += f" Had been told, and hear now that nothing changes: {self.told}."
        elif self.told:
            said = f"Stopped. Had been told, and hear that nothing changes: {self.told}."
        elif self.later:
            said = "Stopped."
        else:
            said = "Stopped. Nobody had been told of a rise that is still to come."
        if self.untold:
            said += f" Had not been told: {self.untold}."
        if self.later:
            said += f" Not seen to yet; the worker goes on with them: {self.later}."
        return said

    @property
    def moved(self) -> int:
        """Whom stopping alone does not give the old price."""
        return self.charged + self.ahead

    @property
    def staying(self) -> str:
        said = f" Moved before, and charged the new price: {self.charged}." if self.charged else ""
        if self.ahead:
            said += f" Moved before, and charged the new price at the renewal that is ahead: {self.ahead}."
        if self.undoing:
            said += f" To be given the old price again by the worker: {self.undoing}."
        return said


@dataclass(frozen=True)
class Undone:
    """What became of those who had been moved; `left`: they have left or chosen another price, which stays."""

    stopped: Stopped
    undone: int
    failed: int
    left: int

    def __str__(self) -> str:
        """For staff."""
        left = f"; left alone, as they left or chose another price since: {self.left}" if self.left else ""
        return f"{self.stopped} Have the old price again: {self.undone}; failed: {self.failed}{left}."


def stop(*, rise: PriceRise, now: datetime) -> Stopped:
    """Nobody else is told or moved; who was told is told that nothing changes. Stopping twice changes nothing.

    The stop itself is committed first and alone; what it means for each account follows one by one. Whatever is left,
    as there are many, Stripe is away or we are killed, the sweeper does. `now` is wall time.
    """
    is_new = bool(PriceRise.objects.filter(pk=rise.pk, stopped_at=None).update(stopped_at=now))
    rise.refresh_from_db(fields=["stopped_at"])
    started = time.monotonic()
    told = untold = 0
    waiting = rise.steps.filter(state__in=PriceRiseStep.WAITING)
    for step in waiting.select_related("rise", "account").order_by("pk"):
        if time.monotonic() - started > STOP_SECONDS:
            break
        try:
            is_ended = _end(step, now=now)
        except WAITS as error:
            log.warning("price_rise_step_waits", step=step.pk, error=type(error).__name__)
            continue
        told += is_ended and step.told_at is not None
        untold += is_ended and step.told_at is None
    moved = list(rise.steps.filter(state=State.MOVED).select_related("account"))
    charged = sum(_is_charged(step, now=clock.at(step.account, now=now)) for step in moved)
    return Stopped(
        is_new=is_new,
        told=told,
        untold=untold,
        later=waiting.count(),
        charged=charged,
        ahead=len(moved) - charged,
        undoing=rise.steps.filter(state=State.UNDOING).count(),
    )


def undo(*, rise: PriceRise, now: datetime) -> Undone:
    """Stop, and give whoever was moved the old price again from the next invoice on.

    What was charged stays charged. Those that failed are tried again by the sweeper, or by calling it again. Raises the
    gateway's errors.
    """
    stopped = stop(rise=rise, now=now)
    rise.steps.filter(state=State.MOVED).update(state=State.UNDOING)
    moved = list(rise.steps.filter(state=State.UNDOING).select_related("rise", "account").order_by("pk"))
    undone = failed = 0
    with archived.usable(step.old_price_id for step in moved):
        for step in moved:
            try:
                undone += _give_back(step, now=clock.at(step.account, now=now))
            except WAITS as error:
                log.warning("price_rise_not_undone", step=step.pk, error=type(error).__name__)
                failed += 1
    return Undone(stopped=stopped, undone=undone, failed=failed, left=len(moved) - undone - failed)


def _end(step: PriceRiseStep, *, now: datetime) -> bool:
    """Of a campaign that was stopped: whoever heard of it hears that it is off, once they have the old price.

    `now` is wall time. Raises Busy and the gateway's errors; then nothing was told.
    """
    if step.state == State.MOVING and not _settle(step, now=clock.at(step.account, now=now)):
        return False
    if step.state == State.UNDOING:
        with archived.usable([step.old_price_id]):
            return _give_back(step, now=clock.at(step.account, now=now))
    with transaction.atomic():
        locked = PriceRiseStep.objects.select_for_update().filter(pk=step.pk, state=step.state)
        if step.state not in (State.PLANNED, State.TOLD) or not locked.exists():
            return False
        if step.state == State.TOLD:
            _say_off(step, now=clock.at(step.account, now=now))
        return _leave_out(step, "the campaign was stopped")


def _give_back(step: PriceRiseStep, *, now: datetime) -> bool:
    """While the old price may be used. False for one who needs it no more."""
    if not _charge(step, step.rise.to_price_id, step.old_price_id, f"unrise:{step.pk}"):
        _leave_out(step, "has left, or pays another price by now")
        return False
    with transaction.atomic():
        if PriceRiseStep.objects.filter(pk=step.pk, state=State.UNDOING).update(state=State.UNDONE):
            _say_off(step, now=now)
            Alert.objects.filter(key=_trouble_key(step), resolved_at=None).update(resolved_at=now)
    return True


def _look_whether_staff_must_help(step: PriceRiseStep, error: Exception, *, now: datetime) -> None:
    stopped_at = step.rise.stopped_at
    may_pass = isinstance(error, subscriptions.Busy | gateway.StripeUnavailable)
    if stopped_at is None or (may_pass and now < stopped_at + TROUBLE):
        return
    alerts.raise_alert(
        key=_trouble_key(step),
        kind="price_rise_not_undone",
        message=f"The price rise {step.rise} was stopped, but {step.account} may still have its price "
        f"{step.rise.to_price_id} on {step.stripe_subscription_id}: {error} It is tried again every ten minutes. "
        f"Before the renewal, look at Stripe and give it {step.old_price_id}.",
        account=step.account,
        now=now,
    )


def _trouble_key(step: PriceRiseStep) -> str:
    return f"price_rise_not_undone:{step.pk}"


def _take(step: PriceRiseStep, *, now: datetime) -> bool:
    """The next thing that is due for this step, if something is."""
    if step.state == State.MOVING:
        return _settle(step, now=now)  # and go on from there at the next turn
    subscription = Subscription.objects.live().filter(account=step.account).first()
    item = subscription.items.filter(stripe_item_id=step.stripe_item_id).first() if subscription else None
    if subscription is None or subscription.is_canceling or item is None:
        return _leave_out(step, "is leaving or has left")
    if item.stripe_price_id not in (step.old_price_id, step.rise.to_price_id):
        return _leave_out(step, "pays another price by now")
    if step.state == State.PLANNED:
        return _tell(step, subscription, quantity=item.quantity, now=now)
    assert step.applies_at is not None
    if item.stripe_price_id == step.rise.to_price_id:
        return _move(step, quantity=item.quantity, now=now)  # it came true, whoever did it
    if now >= step.applies_at:
        return _put_off(step, subscription, now=now)
    if now < step.applies_at - AHEAD[_is_yearly(subscription)] or subscription.status != "active":
        return False
    if PlanChange.objects.filter(account=step.account).planned().exists():
        return False  # the customer has planned something else for that day; this waits to see what it is
    return _move(step, quantity=item.quantity, now=now)


def _tell(step: PriceRiseStep, subscription: Subscription, *, quantity: int | None, now: datetime) -> bool:
    applies_at = _first_renewal(subscription, not_before=now + timedelta(days=step.rise.notice_days))
    if applies_at is None:
        return _leave_out(step, "has no renewal ahead")
    with transaction.atomic():
        if not _is_still(step):
            return False
        step.state, step.told_at, step.applies_at = State.TOLD, now, applies_at
        step.quantity = quantity or step.quantity  # the letter names the sum of today's seats
        step.save(update_fields=["state", "told_at", "applies_at", "quantity"])
        _say("price_rise", step, f"price_rise:{step.pk}", now=now)
        # A renewal of a year is announced a month ahead, at the old price.
        if applies_at == subscription.current_period_end:
            reminders.overtaken(subscription, now=now)
    return True


def _put_off(step: PriceRiseStep, subscription: Subscription, *, now: datetime) -> bool:
    """Nobody came in time: then it is the next renewal's, and that is told."""
    renews_at = subscription.current_period_end
    if renews_at is None or renews_at <= now:
        return False  # what has been renewed is not seen yet
    with transaction.atomic():
        if not _is_still(step):
            return False
        _overtake(step, now=now)
        step.applies_at = renews_at
        step.save(update_fields=["applies_at"])
        _say("price_rise", step, _put_off_key(step), now=now)
    return True


def _is_still(step: PriceRiseStep) -> bool:
    """Whether the campaign runs and the step is where we saw it; in a transaction, for whose length it stays so.

    Nobody is told of a rise, or moved, that is stopped at this moment or that somebody else is at.
    """
    rise = PriceRise.objects.select_for_update().filter(pk=step.rise_id, stopped_at=None).first()
    found = PriceRiseStep.objects.select_for_update().filter(pk=step.pk, state=step.state).first()
    return rise is not None and found is not None and found.applies_at == step.applies_at


def _first_renewal(subscription: Subscription, *, not_before: datetime) -> datetime | None:
    """The first period's end from `not_before` on, counted in whole periods of the running one's length."""
    start, end = subscription.current_period_start, subscription.current_period_end
    if start is None or end is None:
        return None
    price = catalog.current().find_price(subscription.price_lookup_key)
    months = price.months if price else 1
    found = end
    # A trial ends at the price it began with: nobody is moved before.
    if subscription.status == "trialing":
        not_before = max(not_before, end + timedelta(seconds=1))
    while found < not_before:
        found = months_after(subscription.billing_cycle_anchor, found, months)
    return found


def _move(step: PriceRiseStep, *, quantity: int | None, now: datetime) -> bool:
    if not _charge(step, step.old_price_id, step.rise.to_price_id, f"rise:{step.pk}"):
        return False  # stopped, or changed by the customer, while we waited; the next turn sees what it is
    PriceRiseStep.objects.filter(pk=step.pk, state__in=(State.TOLD, State.MOVING)).update(
        quantity=quantity or step.quantity
    )
    _note_moved(step, now=now)
    if step.state == State.UNDOING:
        # Stopped while Stripe was asked.
        with archived.usable([step.old_price_id]):
            _give_back(step, now=now)
    return True


def _settle(step: PriceRiseStep, *, now: datetime) -> bool:
    """A move was tried, and nobody heard what became of it: Stripe says which price it is, under the account's lease.

    Answers whether it is known now. `now` is the account's time.
    """
    with subscriptions.acting(account=step.account, purpose="price_rise"):
        price_id = _price_at_stripe(gateway.get(f"/v1/subscriptions/{step.stripe_subscription_id}"), step)
        if price_id == step.rise.to_price_id:
            _note_moved(step, now=now)
        elif price_id == step.old_price_id:
            PriceRiseStep.objects.filter(pk=step.pk, state=State.MOVING).update(state=State.TOLD)
        else:
            _leave_out(step, "has left, or pays another price by now")
    step.refresh_from_db(fields=["state"])
    return step.state != State.MOVING


def _note_moved(step: PriceRiseStep, *, now: datetime) -> None:
    """Moved; or, when the campaign was stopped meanwhile, to be given the old price back. Never both."""
    with transaction.atomic():
        is_on = PriceRise.objects.select_for_update().filter(pk=step.rise_id, stopped_at=None).first()
        PriceRiseStep.objects.filter(pk=step.pk, state__in=(State.TOLD, State.MOVING)).update(
            state=State.MOVED if is_on else State.UNDOING, moved_at=now
        )
    step.refresh_from_db(fields=["state", "moved_at", "quantity"])


def _charge(step: PriceRiseStep, before: str, after: str, key: str) -> bool:
    """From the next invoice on; nothing is charged or credited for the period that runs.

    False, and nothing is done, when the item does not have the price `before` (any more), or somebody stopped the
    campaign or planned another change: all of it is looked at under the account's lease, and at Stripe.
    https://docs.stripe.com/billing/subscriptions/prorations#disable-prorations
    """
    with subscriptions.acting(account=step.account, purpose="price_rise") as held:
        found = gateway.get(f"/v1/subscriptions/{step.stripe_subscription_id}")
        price_id = _price_at_stripe(found, step)
        is_rise = after == step.rise.to_price_id
        if is_rise and (found.get("schedule") or found["cancel_at_period_end"]):
            return False
        if price_id == after:
            return True  # an earlier try did it, and was killed before it could say so
        if price_id != before or (is_rise and not _begin_move(step)):
            return False
        gateway.post(
            f"/v1/subscriptions/{step.stripe_subscription_id}",
            {"items": [{"id": step.stripe_item_id, "price": after}], "proration_behavior": "none"},
            idempotency_key=f"{key}:{held.token}",
        )
    return True


def _begin_move(step: PriceRiseStep) -> bool:
    """Written before Stripe is asked: its answer may be lost, and whoever stops the campaign must know to look."""
    with transaction.atomic():
        if not _is_still(step):
            return False
        step.state = State.MOVING
        step.save(update_fields=["state"])
    return True


def _price_at_stripe(found: shapes.Doc, step: PriceRiseStep) -> str | None:
    item = next((item for item in shapes.items(found) if item["id"] == step.stripe_item_id), None)
    if item is None or found["status"] in TERMINAL_STATUSES:
        return None
    return str(item["price"]["id"])


def _leave_out(step: PriceRiseStep, why: str) -> bool:
    """Unless somebody else came first."""
    found = PriceRiseStep.objects.filter(pk=step.pk, state=step.state)
    return bool(found.update(state=State.LEFT_OUT, note=why))


def _say_off(step: PriceRiseStep, *, now: datetime) -> None:
    """It does not come after all, or goes again after it was charged."""
    is_charged = _is_charged(step, now=now)
    subscription = Subscription.objects.live().filter(account=step.account).first()
    renews_at = subscription.current_period_end if subscription else None
    _overtake(step, now=now)
    # With another change planned for that day the notice named what that costs, and still does.
    is_other = step.state == State.TOLD and subscription is not None and coming.waits(subscription)
    if subscription is not None and (is_charged or step.applies_at == renews_at) and not is_other:
        reminders.overtaken(subscription, now=now)
    charged = {"is_charged": is_charged, "next_at": renews_at.isoformat() if renews_at else None}
    _say("price_rise_off", step, f"price_rise_off:{step.pk}", now=now, **charged)


def _is_charged(step: PriceRiseStep, *, now: datetime) -> bool:
    is_moved = step.state in (State.MOVED, State.UNDOING)
    return is_moved and step.applies_at is not None and now >= step.applies_at


def _overtake(step: PriceRiseStep, *, now: datetime) -> None:
    """The letter that told of it, the first or one after it was put off."""
    for key in (f"price_rise:{step.pk}", _put_off_key(step)):
        overtake(account=step.account, key=key, now=now)


def _put_off_key(step: PriceRiseStep) -> str:
    return f"price_rise:{step.pk}:{step.applies_at:%Y-%m-%d}"


def _say(kind: str, step: PriceRiseStep, key: str, *, now: datetime, **more: Any) -> None:
    price = catalog.current().find_price(step.rise.to_lookup_key)
    plan = catalog.current().plans.get(price.plan_key) if price else None
    notify(
        account=step.account,
        kind=kind,
        key=key,
        now=now,
        context={
            "plan": plan.name if plan else step.rise.to_lookup_key,
            "old": step.old_amount * step.quantity,
            "new": step.new_amount * step.quantity,
            "currency": step.currency,
            "at": step.applies_at.isoformat() if step.applies_at else None,
            **more,
        },
    )


def _is_yearly(subscription: Subscription) -> bool:
    price = catalog.current().find_price(subscription.price_lookup_key)
    return price is not None and price.months >= 12
