"""A campaign is carried out a few accounts at a time: told, moved before the renewal, stopped or undone when asked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from accounts.notifications import notify, overtake
from billing import catalog, clock
from billing.anchors import months_after
from billing.lifecycle import archived, subscriptions
from billing.messages import reminders
from billing.models import PlanChange, PriceRise, PriceRiseStep, Subscription
from billing.stripe import gateway, shapes
from billing.stripe.truth import TERMINAL_STATUSES

log = structlog.get_logger(__name__)

State = PriceRiseStep.State
# The price moves so long before the renewal, so that what is told ahead of the charge is the new sum already
# (billing.messages.reminders: three days, thirty on yearly prices). It is charged at the renewal, not before.
AHEAD = {False: timedelta(days=4), True: timedelta(days=31)}
SWEEP_SECONDS = 45


def carry_on(*, now: datetime, limit: int = 200) -> int:
    """For the sweeper: tell and move whoever is due, each in its account's time; answers how many steps changed.

    `now` is wall time. Killed midway it goes on where it stopped; an account in trouble is tried again next turn.
    """
    started = time.monotonic()
    changed = 0
    waiting = PriceRiseStep.objects.filter(state__in=PriceRiseStep.WAITING, rise__stopped_at=None)
    for step in waiting.select_related("rise", "account").order_by("?")[:limit]:
        if time.monotonic() - started > SWEEP_SECONDS:
            break
        try:
            changed += _take(step, now=clock.at(step.account, now=now))
        except (subscriptions.Busy, gateway.StripeError) as error:
            log.warning("price_rise_step_waits", step=step.pk, error=type(error).__name__)
    return changed


@dataclass(frozen=True)
class Stopped:
    """How many had been told and hear that it is off, how many had not been told, and how many stay moved."""

    is_new: bool
    told: int
    untold: int
    moved: int

    def __str__(self) -> str:
        """For staff."""
        if not self.is_new:
            said = "It was stopped before."
        elif not self.told:
            said = "Stopped. Nobody had been told of a rise that is still to come."
        else:
            said = f"Stopped. Had been told, and hear that nothing changes: {self.told}."
        if self.untold:
            said += f" Had not been told: {self.untold}."
        return said

    @property
    def staying(self) -> str:
        """Those whom stopping alone does not give the old price."""
        return f" Moved before, and charged the new price: {self.moved}." if self.moved else ""


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
    """Nobody else is told or moved; who was told is told that nothing changes. Stopping twice changes nothing."""
    with transaction.atomic():
        is_new = bool(PriceRise.objects.filter(pk=rise.pk, stopped_at=None).update(stopped_at=now))
        waiting = rise.steps.select_for_update().filter(state__in=PriceRiseStep.WAITING)
        steps = list(waiting.select_related("account").order_by("pk"))
        told = [step for step in steps if step.state == State.TOLD]
        for step in told:
            _say_off(step, now=clock.at(step.account, now=now))
        for step in steps:
            _leave_out(step, "the campaign was stopped")
    moved = rise.steps.filter(state=State.MOVED).count()
    return Stopped(is_new=is_new, told=len(told), untold=len(steps) - len(told), moved=moved)


def undo(*, rise: PriceRise, now: datetime) -> Undone:
    """Stop, and give whoever was moved the old price again from the next invoice on.

    What was charged stays charged. Call it again for those that failed. Raises the gateway's errors.
    """
    stopped = stop(rise=rise, now=now)
    moved = list(rise.steps.filter(state=State.MOVED).select_related("account"))
    with archived.usable(step.old_price_id for step in moved):
        undone, failed = _give_back(moved, now=now)
    return Undone(stopped=stopped, undone=undone, failed=failed, left=len(moved) - undone - failed)


def _give_back(moved: list[PriceRiseStep], *, now: datetime) -> tuple[int, int]:
    undone = failed = 0
    for step in moved:
        try:
            if not _charge(step, step.rise.to_price_id, step.old_price_id, f"unrise:{step.pk}"):
                _leave_out(step, "has left, or pays another price by now")
                continue
        except (subscriptions.Busy, subscriptions.NothingToChange, gateway.StripeError) as error:
            log.warning("price_rise_not_undone", step=step.pk, error=type(error).__name__)
            failed += 1
            continue
        with transaction.atomic():
            PriceRiseStep.objects.filter(pk=step.pk).update(state=State.UNDONE)
            _say_off(step, now=clock.at(step.account, now=now))
        undone += 1
    return undone, failed


def _take(step: PriceRiseStep, *, now: datetime) -> bool:
    """The next thing that is due for this step, if something is."""
    subscription = Subscription.objects.live().filter(account=step.account).first()
    item = subscription.items.filter(stripe_item_id=step.stripe_item_id).first() if subscription else None
    if subscription is None or subscription.is_canceling or item is None:
        return _leave_out(step, "is leaving or has left")
    if item.stripe_price_id not in (step.old_price_id, step.rise.to_price_id):
        return _leave_out(step, "pays another price by now")
    if step.state == State.PLANNED:
        return _tell(step, subscription, quantity=item.quantity, now=now)
    assert step.applies_at is not None
    if now >= step.applies_at:
        return _put_off(step, subscription, now=now)
    if now < step.applies_at - AHEAD[_is_yearly(subscription)] or subscription.status != "active":
        return False
    if PlanChange.objects.filter(account=step.account).planned().exists():
        return False  # the customer has planned something else for that day; this waits to see what it is
    return _move(step, subscription, quantity=item.quantity, now=now)


def _tell(step: PriceRiseStep, subscription: Subscription, *, quantity: int | None, now: datetime) -> bool:
    applies_at = _first_renewal(subscription, not_before=now + timedelta(days=step.rise.notice_days))
    if applies_at is None:
        return _leave_out(step, "has no renewal ahead")
    with transaction.atomic():
        # Locked, so that nobody is told of a rise that is stopped at this moment.
        if PriceRise.objects.select_for_update().filter(pk=step.rise_id, stopped_at=None).first() is None:
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
        _overtake(step, now=now)
        step.applies_at = renews_at
        step.save(update_fields=["applies_at"])
        _say("price_rise", step, _put_off_key(step), now=now)
    return True


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


def _move(step: PriceRiseStep, subscription: Subscription, *, quantity: int | None, now: datetime) -> bool:
    if not _charge(step, step.old_price_id, step.rise.to_price_id, f"rise:{step.pk}"):
        return False  # stopped, or changed by the customer, while we waited; the next turn sees what it is
    PriceRiseStep.objects.filter(pk=step.pk).update(
        state=State.MOVED, moved_at=now, quantity=quantity or step.quantity
    )
    if PriceRise.objects.filter(pk=step.rise_id, stopped_at__isnull=False).exists():
        # Stopped while Stripe was asked: they have been told that nothing changes.
        with archived.usable([step.old_price_id]):
            _give_back([step], now=now)
    return True


def _charge(step: PriceRiseStep, before: str, after: str, key: str) -> bool:
    """From the next invoice on; nothing is charged or credited for the period that runs.

    False, and nothing is done, when the item does not have the price `before` (any more), or somebody stopped the
    campaign or planned another change: all of it is looked at under the account's lease, and at Stripe.
    https://docs.stripe.com/billing/subscriptions/prorations#disable-prorations
    """
    with subscriptions.acting(account=step.account, purpose="price_rise") as held:
        found = gateway.get(f"/v1/subscriptions/{step.stripe_subscription_id}")
        item = next((item for item in shapes.items(found) if item["id"] == step.stripe_item_id), None)
        is_rise = after == step.rise.to_price_id
        is_off = PriceRise.objects.filter(pk=step.rise_id, stopped_at__isnull=False).exists()
        has_left = found["status"] in TERMINAL_STATUSES
        if (
            item is None
            or has_left
            or (is_rise and (is_off or found.get("schedule") or found["cancel_at_period_end"]))
        ):
            return False
        if item["price"]["id"] == after:
            return True  # an earlier try did it, and was killed before it could say so
        if item["price"]["id"] != before:
            return False
        gateway.post(
            f"/v1/subscriptions/{step.stripe_subscription_id}",
            {"items": [{"id": step.stripe_item_id, "price": after}], "proration_behavior": "none"},
            idempotency_key=f"{key}:{held.token}",
        )
    return True


def _leave_out(step: PriceRiseStep, why: str) -> bool:
    PriceRiseStep.objects.filter(pk=step.pk).update(state=State.LEFT_OUT, note=why)
    return True


def _say_off(step: PriceRiseStep, *, now: datetime) -> None:
    """It does not come after all, or goes again after it was charged."""
    is_charged = step.state == State.MOVED and step.applies_at is not None and now >= step.applies_at
    subscription = Subscription.objects.live().filter(account=step.account).first()
    renews_at = subscription.current_period_end if subscription else None
    _overtake(step, now=now)
    if subscription is not None and (is_charged or step.applies_at == renews_at):
        reminders.overtaken(subscription, now=now)
    charged = {"is_charged": is_charged, "next_at": renews_at.isoformat() if renews_at else None}
    _say("price_rise_off", step, f"price_rise_off:{step.pk}", now=now, **charged)


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
