"""Seats bought against the people in them: guests are free, an open invitation holds one, nobody is put out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from accounts.models import Account, Member
from billing import clock, entitlements
from billing.access import Level


class SeatLimitReached(Exception):
    """Every seat is taken. The text says how many there are and what makes room."""


def sold(account: Account) -> int | None:
    """How many seats the account has bought; None on a plan that is not sold by the seat."""
    rights = entitlements.of(account, now=clock.now(account))
    if rights.plan.seats is None or rights.level < Level.GRACE or rights.grant is not None:
        return None
    return rights.seats


def taken(account: Account, *, now: datetime) -> int:
    """Seats in use: members who are not guests, and open invitations that would make one. `now` is wall time."""
    people = account.members.exclude(role=Member.Role.GUEST).count()
    invited = account.invitations.filter(accepted_at=None, revoked_at=None, expires_at__gt=now).exclude(
        role=Member.Role.GUEST
    )
    return people + invited.count()


@contextmanager
def room_for(account: Account, *, people: int, now: datetime) -> Iterator[None]:
    """Do the block only while there is a seat for `people` more; 0 for somebody who holds one already.

    The account row is locked meanwhile: two who hurry cannot both have the last seat. Raises SeatLimitReached.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        seats = sold(account)
        if seats is not None and taken(account, now=now) + people > seats:
            raise SeatLimitReached(
                f"All {seats} seats are taken. Remove somebody, withdraw an invitation, or invite as a guest: "
                "guests only look and take no seat."
            )
        yield
