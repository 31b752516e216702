"""Less than before, at the end of what is paid for: a schedule at Stripe, taken back until it happens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from billing.changes import request, telling
from billing.changes.wishes import Wish
from billing.lifecycle import customers, schedules, subscriptions
from billing.lifecycle.lease import Held
from billing.models import PlanChange
from billing.stripe import gateway, shapes


def schedule(change: PlanChange, wish: Wish, ids: dict[str, str], *, held: Held, now: datetime) -> None:
    """Let Stripe make the change when the period ends, under the account's lease. `change` becomes SCHEDULED.

    What was scheduled before is replaced. `now` is the account's time. Raises LeaseLost and the gateway's errors.
    https://docs.stripe.com/billing/subscriptions/subscription-schedules/use-cases#downgrading-subscriptions
    """
    name = change.stripe_subscription_id
    found = gateway.get(f"/v1/subscriptions/{name}")
    if shapes.id_of(found.get("schedule")):
        schedules.release(shapes.id_of(found["schedule"]))
    held.renew()
    made = gateway.post(
        "/v1/subscription_schedules", {"from_subscription": name}, idempotency_key=f"schedule:{change.nonce}"
    )
    held.renew()
    gateway.post(
        f"/v1/subscription_schedules/{made['id']}",
        {
            "end_behavior": "release",
            "metadata": {customers.ACCOUNT_KEY: str(change.account_id)},
            "phases": [_running(made["phases"][0]), _next(wish, ids, made["phases"][0])],
        },
        idempotency_key=f"phases:{change.nonce}",
    )
    with held.saving():
        PlanChange.objects.filter(account=held.account, state=PlanChange.State.SCHEDULED).update(
            state=PlanChange.State.UNDONE
        )
        change.state, change.stripe_schedule_id = PlanChange.State.SCHEDULED, made["id"]
        change.save(update_fields=["state", "stripe_schedule_id"])
        telling.scheduled(change, now=now)


def undo(*, account: Account, change: PlanChange, now: datetime) -> None:
    """Take back what was scheduled. Raises NothingToChange when it has happened, Busy, the gateway's errors."""
    with subscriptions.acting(account=account, purpose="undo_change") as held:
        change.refresh_from_db()
        if change.state != PlanChange.State.SCHEDULED:
            raise subscriptions.NothingToChange("There is no change to take back any more.")
        schedules.release(change.stripe_schedule_id)
        with held.saving():
            change.state, change.finished_at = PlanChange.State.UNDONE, now
            change.save(update_fields=["state", "finished_at"])
            telling.undone(change, now=now)


def _running(phase: dict[str, Any]) -> dict[str, Any]:
    """The period as it is, said again: phases are replaced as a whole."""
    return {
        "items": [_entry(item) for item in phase["items"]],
        "start_date": phase["start_date"],
        "end_date": phase["end_date"],
        "proration_behavior": "none",
        **_terms(phase),
    }


def _next(wish: Wish, ids: dict[str, str], phase: dict[str, Any]) -> dict[str, Any]:
    return {
        "items": request.phase(wish, ids),
        # One period, then the subscription goes on by itself.
        "duration": {"interval": wish.price.interval, "interval_count": wish.price.interval_count},
        "proration_behavior": "none",
        **_terms(phase),
    }


def _entry(item: dict[str, Any]) -> dict[str, Any]:
    counted = {} if item.get("quantity") is None else {"quantity": item["quantity"]}
    return {"price": shapes.id_of(item["price"]), **counted}


def _terms(phase: dict[str, Any]) -> dict[str, Any]:
    """What holds beside the items and would be lost where a phase does not say it again."""
    discounts = [named for entry in phase.get("discounts") or [] if (named := _named(entry))]
    rates = [shapes.id_of(rate) for rate in phase.get("default_tax_rates") or []]
    return {
        **({"discounts": discounts} if discounts else {}),
        **({"default_tax_rates": rates} if rates else {}),
    }


def _named(discount: dict[str, Any]) -> dict[str, str]:
    """A discount by one name: as it runs already, else by what gives it."""
    names = ("discount", "promotion_code", "coupon")
    return next(({name: shapes.id_of(discount[name])} for name in names if discount.get(name)), {})
