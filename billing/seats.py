"""Seats bought against the people in them: guests are free, an open invitation holds one, nobody is put out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction

from accounts.models import Account, Invitation, Member
from billing import clock, entitlements
from billing.access import Level
from billing.models import PlanChange


class SeatLimitReached(Exception):
    """Every seat is taken. The text says how many there are and what makes room."""


@dataclass(frozen=True)
class Standing:
    """An account's seats at one moment. `bought` None: not sold by the seat, or as many as there are members."""

    bought: int | None
    taken: int
    # How many there will be, once a reduction that is planned has happened.
    coming: int | None = None

    @property
    def is_over(self) -> bool:
        """More people than seats, as after a change at Stripe itself: flagged, and nobody is put out."""
        return self.bought is not None and self.taken > self.bought

    @property
    def missing(self) -> int:
        return max(0, self.taken - self.bought) if self.bought is not None else 0

    @property
    def free(self) -> int | None:
        return (
            None if self.bought is None else max(0, min(self.bought, self.coming or self.bought) - self.taken)
        )


def standing(account: Account, *, now: datetime) -> Standing:
    """How the seats of `account` stand. `now` is wall time, by which invitations run out."""
    return Standing(bought=sold(account), taken=taken(account, now=now), coming=coming(account))


def sold(account: Account) -> int | None:
    """How many seats the account has bought; None on a plan that is not sold by the seat.

    Where seats follow the members, it is the most the plan is sold with (None: no end).
    """
    rights = entitlements.of(account, now=clock.now(account))
    if rights.plan.seats is None or rights.level < Level.GRACE or rights.grant is not None:
        return None
    if rights.plan.seats.follow_members:
        return rights.plan.seats.max
    return rights.seats


def coming(account: Account) -> int | None:
    """The number of seats from the period's end on, where fewer are planned; else None."""
    planned = PlanChange.objects.filter(account=account, state=PlanChange.State.SCHEDULED).first()
    fewer = planned is not None and planned.is_only_seats and planned.to_quantity < planned.from_quantity
    return planned.to_quantity if planned is not None and fewer else None


def taken(account: Account, *, now: datetime) -> int:
    """Seats in use: members who are not guests, and open invitations that would make one. `now` is wall time."""
    return _people(account).count() + _invited(account, now=now).count()


def holders(account: Account, *, now: datetime) -> list[str]:
    """Who takes a seat, by name or address, in the order of joining; then who is invited. `now` is wall time."""
    people = _people(account).select_related("user").order_by("joined_at", "pk")
    invited = _invited(account, now=now).order_by("created_at")
    return [
        *(member.user.name or member.user.email for member in people),
        *(f"{invitation.email} (invited)" for invitation in invited),
    ]


@contextmanager
def room_for(account: Account, *, people: int, now: datetime) -> Iterator[None]:
    """Do the block only while there is a seat for `people` more; 0 for somebody who holds one already.

    The account row is locked meanwhile: two who hurry cannot both have the last seat. Raises SeatLimitReached.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        seats = standing(account, now=now)
        if seats.bought is not None and seats.taken + people > seats.bought:
            raise SeatLimitReached(
                f"All {seats.bought} seats are taken. Remove somebody, withdraw an invitation, or invite as a "
                "guest: guests only look and take no seat."
            )
        if seats.coming is not None and people and seats.taken + people > seats.coming:
            raise SeatLimitReached(
                f"From the next period on there are {seats.coming} seats, and all of them are taken. Keep more "
                "seats on the seats page, or invite as a guest: guests only look and take no seat."
            )
        yield


def _people(account: Account) -> models.QuerySet[Member]:
    return account.members.exclude(role=Member.Role.GUEST)


def _invited(account: Account, *, now: datetime) -> models.QuerySet[Invitation]:
    open_ones = account.invitations.filter(accepted_at=None, revoked_at=None, expires_at__gt=now)
    return open_ones.exclude(role=Member.Role.GUEST)
