"""Runs that go on for a while: so many at once, each kept by its heartbeat and lost by the clock alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from accounts.models import Account, User
from usage.metering.consuming import check_role
from usage.metering.refusals import InvalidKey
from usage.models import Slot
from usage.models.standing import SlotQuerySet
from usage.standing.gauges import check_key
from usage.standing.limits import LimitReached, known_limit, locked, or_check_failed

__all__ = ["InvalidTtl", "LimitReached", "Slot", "SlotLost", "beat", "give_back", "hold", "running", "take"]

TTL = timedelta(minutes=5)
LONGEST_TTL = timedelta(days=1)


class SlotLost(Exception):
    """There is no such slot any more: given back, or silent for longer than its time. Stop, or take one anew."""


class InvalidTtl(ValueError):
    """A slot is kept from one second to one day without a heartbeat."""


def take(
    *,
    account: Account,
    feature: str,
    key: str,
    now: datetime,
    ttl: timedelta = TTL,
    user: User | None = None,
) -> Slot:
    """Begin a run, if fewer than the limit of `feature` are going on.

    key  names the run: taken again while it is held, it is the same slot, kept until at least `now` + `ttl`
    now  everybody's time: whether a machine is alive is not a matter of the account's test clock
    ttl  how long it is kept without a heartbeat

    Whoever crashed is not waited for: slots whose time is over are cleared in the same transaction. A limit that was
    lowered meanwhile lets those who run finish, and begins none until it fits.

    Raises LimitReached, FeatureNotIncluded, UnknownFeature, InvalidKey, InvalidTtl, CheckFailed.
    """
    _check(key, ttl)
    until = now + ttl
    with locked(account=account, feature=feature, now=now, user=user) as held:
        of_feature = Slot.objects.filter(account=account, feature=feature)
        # First away, then counted: a heartbeat that comes in between finds nothing to keep.
        of_feature.filter(expires_at__lte=now).delete()
        slot = of_feature.select_for_update().filter(key=key).first()
        if slot is not None:
            slot.expires_at = max(slot.expires_at, until)
            slot.save(update_fields=["expires_at"])
            return slot
        held.standing()
        refusal = held.refusal(1, is_run=True)
        if refusal is None:
            slot = Slot.objects.create(
                account=account, feature=feature, key=key, taken_at=now, expires_at=until
            )
    if refusal is not None:
        raise refusal
    assert slot is not None
    return slot


def beat(
    *,
    account: Account,
    feature: str,
    key: str,
    now: datetime,
    ttl: timedelta = TTL,
    user: User | None = None,
) -> datetime:
    """Say that the run goes on: its slot is kept until `now` + `ttl`, which is the answer.

    Raises SlotLost when its time was over before: somebody else may have its place. FeatureNotIncluded (guests),
    UnknownFeature, InvalidKey, InvalidTtl, CheckFailed.
    """
    _check(key, ttl)
    with _mine(account, feature, user) as slots:
        # One statement: who clears silent slots meanwhile either sees the new time or is seen by us.
        if not slots.live(now).filter(key=key).update(expires_at=now + ttl):
            raise SlotLost("This slot is not held any more. Take one anew before going on.")
    return now + ttl


def give_back(*, account: Account, feature: str, key: str, user: User | None = None) -> bool:
    """End a run. Twice, or after its time was over, is harmless; answers whether it was still there.

    Raises FeatureNotIncluded (guests), UnknownFeature, InvalidKey, CheckFailed.
    """
    _check(key, TTL)
    with _mine(account, feature, user) as slots:
        gone, _ = slots.filter(key=key).delete()
    return bool(gone)


@contextmanager
def hold(
    *,
    account: Account,
    feature: str,
    key: str,
    now: datetime,
    ttl: timedelta = TTL,
    user: User | None = None,
) -> Iterator[Slot]:
    """Do the block while a slot is held for it, given back at its end. Raises as `take` does.

    Give it a `ttl` longer than the block can take, or call `beat` in it.
    """
    slot = take(account=account, feature=feature, key=key, now=now, ttl=ttl, user=user)
    try:
        yield slot
    finally:
        give_back(account=account, feature=feature, key=key)


def running(account: Account, feature: str, *, now: datetime) -> SlotQuerySet:
    """The runs that are going on, oldest first."""
    return Slot.objects.live(now).filter(account=account, feature=feature).order_by("taken_at", "pk")


@contextmanager
def _mine(account: Account, feature: str, user: User | None) -> Iterator[SlotQuerySet]:
    with or_check_failed():
        known_limit(feature)
        if user is not None:
            check_role(account, user, feature)
        yield Slot.objects.filter(account=account, feature=feature)


def _check(key: str, ttl: timedelta) -> None:
    if key is None:
        raise InvalidKey("Send a key that names the run, such as its id.")
    check_key(key)
    if not timedelta(seconds=1) <= ttl <= LONGEST_TTL:
        raise InvalidTtl("A slot is kept for 1 second to 1 day without a heartbeat.")
