"""Seats that follow the members: how many they make, and owing Stripe that number when somebody comes or goes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Account, Member
from billing import catalog, clock, effects
from billing.catalog import Plan
from billing.models import Customer, Effect, Subscription

KIND = "seats_follow"
# Where the number of seats may still change. Another state is seen to by the sync that ends it.
FOLLOWING = ("active", "trialing", "past_due")


def wanted(account: Account, plan: Plan) -> int:
    """How many seats the members make: all who are no guests, and at least the plan's minimum."""
    assert plan.seats is not None
    people = account.members.exclude(role=Member.Role.GUEST).count()
    return max(plan.seats.min, people)


def is_behind(account: Account) -> bool:
    """Whether more or fewer seats are paid for than there are members, on a plan where seats follow."""
    subscription = Subscription.objects.live().filter(account=account, status__in=FOLLOWING).first()
    plan = following_plan(subscription)
    if plan is None or subscription is None or subscription.quantity == wanted(account, plan):
        return False
    # Who is on hold for a lost dispute is charged for nobody; the sync that lifts it looks again.
    return not Customer.objects.filter(account=account, dispute_state="lost").exists()


def owe(account: Account, *, now: datetime) -> None:
    """Owe Stripe the present number of members. Call it in the transaction that changes it; a worker tells Stripe."""
    effects.once(key=f"seats:{account.pk}:{uuid.uuid4().hex}", kind=KIND, account=account, now=now)


def owe_if_behind(account: Account, *, now: datetime) -> None:
    """As `owe`, where it is due and nobody is at it: what changed at Stripe or by a schedule is put right."""
    under_way = Effect.objects.filter(account=account, kind=KIND, done_at=None, next_attempt_at__isnull=False)
    if is_behind(account) and not under_way.exists():
        owe(account, now=now)


def member_changed(sender: Any, *, instance: Member, **_: Any) -> None:
    """Somebody came, went, or became a guest (Django's signals of Member; a door, so it looks at the clock)."""
    account = instance.account
    if is_behind(account):
        with transaction.atomic():
            owe(account, now=clock.wall())


def following_plan(subscription: Subscription | None) -> Plan | None:
    """The plan of this subscription, if its seats follow the members."""
    plan = catalog.current().plans.get(subscription.plan_key) if subscription else None
    return plan if plan is not None and plan.seats is not None and plan.seats.follow_members else None
