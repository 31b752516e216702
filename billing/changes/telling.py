"""The messages about changes: what changed, what is planned, what was taken back. Each once, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from accounts.notifications import notify, overtake
from billing import catalog
from billing.changes.wishes import Wish
from billing.messages import reminders
from billing.models import PlanChange, Subscription


def done(change: PlanChange, *, now: datetime, gave_way: PlanChange | None = None) -> None:
    """Plan, period or seats are another now, and what was planned before (`gave_way`) is planned no more. Inside the
    transaction that writes it; `now` is the account's time.
    """
    subscription = Subscription.objects.filter(stripe_subscription_id=change.stripe_subscription_id).first()
    renews_at = subscription.current_period_end if subscription else None
    _renewal_overtaken(change, now=now)
    if change.is_only_seats:
        _seats(change, gave_way, now=now)
        return
    notify(
        account=change.account,
        kind="plan_changed",
        key=f"plan_changed:{change.nonce}",
        now=now,
        context={
            **names(change),
            "at": now.isoformat(),
            "next_at": renews_at and renews_at.isoformat(),
            **_gave_way(gave_way),
        },
    )


def scheduled(change: PlanChange, *, now: datetime) -> None:
    """It will be so at the period's end."""
    told = notify(
        account=change.account,
        kind="downgrade_scheduled",
        key=f"downgrade_scheduled:{change.nonce}",
        now=now,
        context={**names(change), "at": change.takes_effect_at.isoformat()},
    )
    if told is not None:
        _renewal_overtaken(change, now=now)


def undone(change: PlanChange, *, now: datetime) -> None:
    """What was planned is planned no more."""
    overtaken(change, now=now)
    both = names(change)
    notify(
        account=change.account,
        kind="downgrade_undone",
        key=f"downgrade_undone:{change.nonce}",
        now=now,
        context={**both, "plan": both["before"], "at": change.takes_effect_at.isoformat()},
    )


def overtaken(change: PlanChange, *, now: datetime) -> None:
    """What was told of a planned change is no longer so, and what took its place is told by others."""
    overtake(account=change.account, key=f"downgrade_scheduled:{change.nonce}", now=now)
    _renewal_overtaken(change, now=now)


def _renewal_overtaken(change: PlanChange, *, now: datetime) -> None:
    """The notice before the renewal named another plan or sum; the sync that knows the new one tells it."""
    subscription = Subscription.objects.filter(stripe_subscription_id=change.stripe_subscription_id).first()
    if subscription is not None:
        reminders.overtaken(subscription, now=now)


def taken_back(off: Iterable[PlanChange]) -> dict[str, str]:
    """For the messages about a plan that ends or pauses: what goes with it, planned (`taken_back`) or waiting for its
    payment (`called_off`).
    """
    found: dict[str, str] = {}
    for change in off:
        found |= _gave_way(change) if change.is_later else {"called_off": names(change)["after"]}
    return found


def _gave_way(change: PlanChange | None) -> dict[str, str]:
    if change is None:
        return {}
    return {"taken_back": names(change)["after"], "taken_back_at": change.takes_effect_at.isoformat()}


def _seats(change: PlanChange, gave_way: PlanChange | None, *, now: datetime) -> None:
    notify(
        account=change.account,
        kind="seats_changed",
        key=f"seats_changed:{change.nonce}",
        now=now,
        context={
            "before": change.from_quantity,
            "after": change.to_quantity,
            "plan": plan_name(change.to_plan_key),
            **_gave_way(gave_way),
        },
    )


def names(change: PlanChange) -> dict[str, str]:
    """Both ends in words that differ: by the plan, else by the seats, else by the period."""
    return _two_ends(
        (change.from_plan_key, change.from_price, change.from_quantity),
        (change.to_plan_key, change.to_price, change.to_quantity),
    )


def ends(wish: Wish) -> dict[str, str]:
    """The same of what is only wished."""
    return _two_ends(
        (wish.before.key, wish.subscription.price_lookup_key, wish.subscription.quantity),
        (wish.plan.key, wish.price.lookup_key, wish.quantity),
    )


def plan_name(key: str) -> str:
    plan = catalog.current().plans.get(key)
    return plan.name if plan else key


def _two_ends(had: tuple[str, str, int], gets: tuple[str, str, int]) -> dict[str, str]:
    before, after = plan_name(had[0]), plan_name(gets[0])
    if before != after:
        return {"before": before, "after": after}
    if had[1] == gets[1]:
        return {
            "before": f"{before} with {_seat_words(had[2])}",
            "after": f"{after} with {_seat_words(gets[2])}",
        }
    return {"before": f"{before}, {_every(had[1])}", "after": f"{after}, {_every(gets[1])}"}


def _seat_words(number: int) -> str:
    return f"{number:,} seat{'' if number == 1 else 's'}"


def _every(lookup_key: str) -> str:
    price = catalog.current().find_price(lookup_key)
    return "yearly" if price is not None and price.interval == "year" else "monthly"
