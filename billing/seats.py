"""Seats bought against the people in them: guests are free, an open invitation holds one, nobody is put out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction

from accounts.models import Account, Invitation, Member
from billing import catalog, clock, entitlements
from billing.access import Level
from billing.models import PlanChange

# The feature that counts an account's people, where a price list limits them.
MEMBERS = "members"


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


def standing(account: Account, *, now: datetime) -> Standing:
    """How the seats of `account` stand. `now` is wall time, by which invitations run out."""
    return Standing(
        bought=sold(account, now=now), taken=taken(account, now=now), coming=coming(account, now=now)
    )


def sold(account: Account, *, now: datetime) -> int | None:
    """How many seats the account has bought; None on a plan that is not sold by the seat.

    Where seats follow the members, it is the most the plan is sold with (None: no end). `now` is wall time, as
    everywhere here.
    """
    rights = entitlements.of(account, now=clock.at(account, now=now))
    if rights.plan.seats is None or rights.level < Level.GRACE or rights.grant is not None:
        return None
    if rights.plan.seats.follow_members:
        return rights.plan.seats.max
    return rights.seats


def places(account: Account, *, now: datetime) -> int | None:
    """How many people the account has room for: its seats, else what its plan limits members to. None: no end."""
    seats = sold(account, now=now)
    is_alone = account.kind == Account.Kind.PERSONAL  # whom nobody joins, whatever its plan says
    if seats is not None or is_alone or MEMBERS not in catalog.current().features:
        return seats
    return entitlements.of(account, now=clock.at(account, now=now)).limit(MEMBERS)


def coming(account: Account, *, now: datetime) -> int | None:
    """How many people there will be room for from the period's end on, where fewer are planned; else None."""
    planned = PlanChange.objects.filter(account=account).planned().first()
    plan = catalog.current().plans.get(planned.to_plan_key) if planned is not None else None
    if planned is None or plan is None:
        return None
    room = planned.to_quantity if plan.seats is not None else plan.limits.get(MEMBERS)
    present = places(account, now=now)
    return room if room is not None and (present is None or room < present) else None


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
        _check_room(account, people=people, now=now)
        yield


def _check_room(account: Account, *, people: int, now: datetime) -> None:
    """An invitation that is accepted holds its place already; it has none when places went meanwhile."""
    wanted = taken(account, now=now) + people
    seats, room = sold(account, now=now), places(account, now=now)
    later = coming(account, now=now)
    guests = "guests only look and take no seat"
    if seats is not None and wanted > seats:
        all_of_them = "The only seat is" if seats == 1 else f"All {seats} seats are"
        raise SeatLimitReached(
            f"{all_of_them} taken. Buy more, remove somebody, withdraw an invitation, or invite as a guest: {guests}."
        )
    if room is not None and wanted > room:
        raise SeatLimitReached(
            f"Your plan has room for {room} {'person' if room == 1 else 'people'}. Choose a larger plan, remove "
            f"somebody, withdraw an invitation, or invite as a guest: {guests}."
        )
    if later is not None and people and wanted > later:
        raise SeatLimitReached(
            f"From the next period on there is room for {later}, and all of it is taken. Take the planned change back "
            f"on your billing page, or invite as a guest: {guests}."
        )


def _people(account: Account) -> models.QuerySet[Member]:
    return account.members.exclude(role=Member.Role.GUEST)


def _invited(account: Account, *, now: datetime) -> models.QuerySet[Invitation]:
    open_ones = account.invitations.filter(accepted_at=None, revoked_at=None, expires_at__gt=now)
    return open_ones.exclude(role=Member.Role.GUEST)
