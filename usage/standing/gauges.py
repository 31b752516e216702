"""Things that stay: claimed before they are made, let go when they are gone, never more than the plan gives."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Sum

from accounts.models import Account, User
from usage.metering.refusals import IdempotencyConflict, InvalidKey, InvalidUnits
from usage.models import GaugeClaim
from usage.standing.limits import LimitReached, Standing, locked, state

__all__ = ["LimitReached", "NotHeld", "Standing", "claim", "release", "set_to", "state"]

# 2**53 - 1, the largest whole number that every JSON reader keeps: 8 PB in bytes.
MOST_UNITS = 9_007_199_254_740_991


class NotHeld(Exception):
    """Fewer are held than were to be let go. Nothing was changed: a count never goes below zero."""


def claim(
    *,
    account: Account,
    feature: str,
    units: int = 1,
    key: str | None = None,
    now: datetime,
    user: User | None = None,
) -> Standing:
    """Count `units` more of `feature` (bytes for storage), all of them or none.

    key   names the thing ("project:7"): claimed again while it is held, it is counted once and answered alike
    now   everybody's time; the limit is the one in force at the account's time
    user  who acted; must be a member who may use

    Called inside a transaction it is part of it: make the thing in the same one, and either both are there or none.
    The feature's row stays locked until that transaction ends.

    Raises LimitReached (`limit_reached`, or `over_limit` when more is held than the plan gives), FeatureNotIncluded,
    UnknownFeature, InvalidUnits, InvalidKey, IdempotencyConflict (the key holds another number), CheckFailed.
    """
    check_units(units, least=1)
    check_key(key)
    with locked(account=account, feature=feature, now=now, user=user) as held:
        if key is not None:
            earlier = GaugeClaim.objects.filter(account=account, feature=feature, key=key).first()
            if earlier is not None:
                if earlier.units != units:
                    raise IdempotencyConflict(
                        f"This key holds {earlier.units:,} already. Let that go first, or use a new key."
                    )
                return held.standing()
        check_units(held.gauge.value + units, least=1)
        refusal = held.refusal(units)
        if refusal is None:
            held.set(held.gauge.value + units)
            if key is not None:
                GaugeClaim.objects.create(
                    account=account, feature=feature, key=key, units=units, claimed_at=now
                )
        standing = held.standing()
    if refusal is not None:
        raise refusal
    return standing


def release(
    *,
    account: Account,
    feature: str,
    units: int | None = None,
    key: str | None = None,
    now: datetime,
    user: User | None = None,
) -> Standing:
    """Let go of what `key` holds, or of `units` (1 when not said) that were counted without a key.

    A key that holds nothing, or not any more, changes nothing: letting go twice is harmless. Allowed above the limit.
    Raises NotHeld when fewer than `units` are held; UnknownFeature, FeatureNotIncluded (guests), InvalidUnits,
    InvalidKey, CheckFailed.
    """
    check_key(key)
    if units is not None:
        check_units(units, least=1)
    with locked(account=account, feature=feature, now=now, user=user) as held:
        if key is not None:
            claimed = GaugeClaim.objects.filter(account=account, feature=feature, key=key).first()
            if claimed is not None:
                claimed.delete()
                # Less when the count was set from outside since.
                held.set(max(held.gauge.value - claimed.units, 0))
            return held.standing()
        gone, unnamed = units or 1, held.gauge.value - _named(account, feature)
        if gone > unnamed:
            raise NotHeld(
                f"{gone:,} were to be let go and {max(unnamed, 0):,} are held without a key. Let go by key what was "
                "claimed by one, or set the count to what there really is."
            )
        held.set(held.gauge.value - gone)
        return held.standing()


def set_to(
    *, account: Account, feature: str, value: int, now: datetime, user: User | None = None
) -> Standing:
    """Say how many there are, counted by whoever knows (a nightly sum of file sizes). Zero or more.

    A count is a fact, so it is taken also above the limit; then it is over, and nothing can be claimed.
    Raises UnknownFeature, FeatureNotIncluded (guests), InvalidUnits, CheckFailed.
    """
    check_units(value, least=0)
    with locked(account=account, feature=feature, now=now, user=user) as held:
        held.set(value)
        return held.standing()


def _named(account: Account, feature: str) -> int:
    """Units that are held by keys: they go by their keys, or a key could be held and not be counted."""
    claims = GaugeClaim.objects.filter(account=account, feature=feature)
    return int(claims.aggregate(units=Sum("units"))["units"] or 0)


def check_units(units: int, *, least: int) -> None:
    """Raises InvalidUnits."""
    # bool is an int to Python; True projects are nobody's intention.
    if type(units) is not int or not least <= units <= MOST_UNITS:
        raise InvalidUnits(f"A count is a whole number from {least} to {MOST_UNITS:,}.")


def check_key(key: str | None) -> None:
    """Raises InvalidKey."""
    if key is None:
        return
    if not isinstance(key, str) or not 1 <= len(key) <= 200 or "\0" in key:
        raise InvalidKey("A key must be 1 to 200 characters. Send one that names the thing, such as its id.")
