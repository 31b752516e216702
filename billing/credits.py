"""Units bought ahead or given by staff: put in once per fact, drawn in a fixed order, never below zero.

`give` and the staff's acts are whole transactions; `take`, `put_back` and `keep` belong to the transaction that counts.
Whatever adds units has the account's counters ask again; what only draws them does not, as whoever draws is asking.
Locks are taken in one order everywhere: the counter, the account's Customer row, the grants.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Sum

from accounts.models import Account, User
from billing import catalog, clock, grants
from billing.lifecycle import customers
from billing.models import CreditEntry, CreditGrant
from billing.models.credits import FIRST_COME

MOST_UNITS = 1_000_000_000_000
Kind = CreditEntry.Kind


class BadCredits(ValueError):
    """These units cannot be given or corrected; the text says why."""


class NotInATransaction(Exception):
    """Credits are drawn in the transaction that counts the act, or not at all."""


@dataclass(frozen=True)
class Balance:
    """What is left of a feature's credits, and the next moment some of it ends (None: it does not)."""

    feature: str
    units: int
    next_expiry: datetime | None
    units_of_next_expiry: int


def give(
    *,
    account: Account,
    feature: str,
    units: int,
    source: str,
    source_key: str,
    now: datetime,
    expires_at: datetime | None = None,
    priority: int = FIRST_COME,
    amount_paid: int = 0,
    currency: str = "",
    stripe_payment_intent_id: str = "",
    by: User | None = None,
    reason: str = "",
) -> CreditGrant:
    """Add `units` of `feature` to what `account` may use, once per `source_key`; a repeat answers the first grant.

    `now` is the account's time; `amount_paid` minor units. Raises BadCredits.
    """
    _check(feature=feature, units=units, source=source, reason=reason, expires_at=expires_at, now=now)
    customers.row(account)
    with transaction.atomic():
        known = CreditGrant.objects.filter(source_key=source_key).first()
        if known is not None:
            return known
        grants.rights_changed(account)
        grant, is_new = CreditGrant.objects.get_or_create(
            source_key=source_key,
            defaults={
                "account": account,
                "feature": feature,
                "units": units,
                "remaining": units,
                "priority": priority,
                "granted_at": now,
                "expires_at": expires_at,
                "source": source,
                "amount_paid": amount_paid,
                "currency": currency,
                "stripe_payment_intent_id": stripe_payment_intent_id,
                "granted_by": by,
                "reason": reason,
            },
        )
        if is_new:
            _note(grant, Kind.GRANT, units, now=now, by=by, reason=reason)
    return grant


def take(
    *,
    account: Account | UUID,
    feature: str,
    units: int,
    now: datetime,
    record_id: int | None = None,
    reservation_id: int | None = None,
) -> int:
    """Draw up to `units`, and answer how many there were; inside the caller's transaction.

    By priority, then what ends first, then the oldest. Name one of two: `record_id`, and they are burned by that act
    of the ledger; `reservation_id`, and they are held for it until `keep` or `put_back`. The grants stay locked until
    the transaction ends. Raises NotInATransaction.
    """
    _insist_on_a_transaction()
    _insist_on_one(record_id, reservation_id)
    kind = Kind.HOLD if record_id is None else Kind.BURN
    taken = 0
    for grant in CreditGrant.objects.burnable(account, feature, now).select_for_update():
        if taken >= units:
            break
        part = min(grant.remaining, units - taken)
        _move(grant, kind, -part, now=now, record_id=record_id, reservation_id=reservation_id)
        taken += part
    return taken


def put_back(
    *,
    now: datetime,
    units: int | None = None,
    record_id: int | None = None,
    reservation_id: int | None = None,
) -> int:
    """Return what an act burned or a reservation holds, the last drawn first, each to the grant it came from.

    All of it unless `units` says how many; answers how many went back. What went back to a grant that is over by then
    is not drawn again. Inside the caller's transaction. Raises NotInATransaction.
    """
    _insist_on_a_transaction()
    _insist_on_one(record_id, reservation_id)
    entries = CreditEntry.objects.filter(usage_record_id=record_id, reservation_id=reservation_id)
    first = entries.select_related("grant__account").first()
    if first is None:
        return 0
    grants.rights_changed(first.grant.account)
    returned = 0
    for grant, outstanding in reversed(_drawn(record_id=record_id, reservation_id=reservation_id)):
        part = outstanding if units is None else min(outstanding, units - returned)
        if part > 0:
            _move(grant, Kind.RELEASE, part, now=now, record_id=record_id, reservation_id=reservation_id)
            returned += part
    return returned


def keep(*, reservation_id: int, units: int, record_id: int, now: datetime) -> int:
    """Turn held units into burned ones, for the act `record_id`; answers how many. The rest stays held.

    What was held counts although its grant may have ended since: it was promised. Inside the caller's transaction.
    Raises NotInATransaction.
    """
    _insist_on_a_transaction()
    kept = 0
    for grant, outstanding in _drawn(record_id=None, reservation_id=reservation_id):
        part = min(outstanding, units - kept)
        if part <= 0:
            continue
        _note(grant, Kind.RELEASE, part, now=now, reservation_id=reservation_id)
        _note(grant, Kind.BURN, -part, now=now, record_id=record_id)
        kept += part
    return kept


def set_refunded(*, grant: CreditGrant, units: int, now: datetime, reason: str) -> int:
    """Have `units` of the grant be taken back in all, because their money went back; answers how many could not be.

    A smaller number than before (a dispute that was won, a refund that failed) returns the difference. Units that
    are used or held cannot be taken back. Safe twice.
    """
    if not _change_wanted(CreditGrant.objects.get(pk=grant.pk), units):
        return max(units - _taken_back(grant), 0)
    with transaction.atomic():
        grants.rights_changed(grant.account)
        grant = CreditGrant.objects.select_for_update().get(pk=grant.pk)
        if change := _change_wanted(grant, units):
            _move(grant, Kind.REFUND, -change, now=now, reason=reason)
        return max(units - _taken_back(grant), 0)


def correct(*, grant: CreditGrant, units: int, by: User, reason: str, now: datetime) -> CreditGrant:
    """Staff take units out of a grant (below zero) or put units back that were taken out. Raises BadCredits.

    More than was granted is a grant of its own: `give(source="correction")`.
    """
    if not reason.strip():
        raise BadCredits("Say why: the customer sees it in the history.")
    with transaction.atomic():
        grants.rights_changed(grant.account)
        grant = CreditGrant.objects.select_for_update().get(pk=grant.pk)
        if units == 0 or not 0 <= grant.remaining + units <= grant.units:
            raise BadCredits(
                f"{grant.remaining:,} of {grant.units:,} are left, so from {-grant.remaining:,} to "
                f"{grant.units - grant.remaining:,} can be corrected. Give the rest as a new grant."
            )
        _move(grant, Kind.CORRECT, units, now=now, by=by, reason=reason)
    return grant


def expire(*, now: datetime, limit: int = 500) -> int:
    """Write off what is left of grants whose time is over; answers how many grants. `now` is wall time.

    For the sweeper, and only for the books: nothing is drawn from a grant that is over. Held units wait for their end.
    """
    written_off = 0
    for found in CreditGrant.objects.expired(now).select_related("account").order_by("expires_at")[:limit]:
        with transaction.atomic():
            grant = CreditGrant.objects.select_for_update().get(pk=found.pk)
            if grant.remaining:
                _move(grant, Kind.EXPIRE, -grant.remaining, now=clock.now(found.account))
                written_off += 1
    return written_off


def balances(account: Account, *, now: datetime) -> list[Balance]:
    """What is left by feature, in the catalog's order; features without credits are not named. One query."""
    there = CreditGrant.objects.filter(account=account).usable(now).order_by("feature")
    by_feature = {key: list(grants) for key, grants in groupby(there, key=lambda grant: grant.feature)}
    found = []
    for feature in [key for key in catalog.current().features if key in by_feature]:
        grants_left = by_feature[feature]
        ends = min((grant.expires_at for grant in grants_left if grant.expires_at is not None), default=None)
        ending = sum(
            grant.remaining for grant in grants_left if ends is not None and grant.expires_at == ends
        )
        found.append(Balance(feature, sum(grant.remaining for grant in grants_left), ends, ending))
    return found


def left(account: Account | UUID, feature: str, *, now: datetime) -> int:
    """Units of credits that could be drawn at `now`."""
    grants_left = CreditGrant.objects.burnable(account, feature, now).order_by()
    return int(grants_left.aggregate(units=Sum("remaining"))["units"] or 0)


def _check(
    *, feature: str, units: int, source: str, reason: str, expires_at: datetime | None, now: datetime
) -> None:
    known = catalog.current().features.get(feature)
    is_bought = source == CreditGrant.Source.PURCHASE
    # What was paid for is owed, whatever the price list of today says.
    if not is_bought and (known is None or known.kind not in ("allowance", "metered")):
        raise BadCredits(f"The price list has nothing countable called {feature!r}.")
    if type(units) is not int or not 1 <= units <= MOST_UNITS:
        raise BadCredits(f"Units must be a whole number from 1 to {MOST_UNITS:,}.")
    if not is_bought and not reason.strip():
        raise BadCredits("Say why: the customer sees it in the history.")
    if expires_at is not None and expires_at <= now:
        raise BadCredits("The last day must be ahead.")


def _change_wanted(grant: CreditGrant, units: int) -> int:
    """Units to take (or, below zero, to return) so that as near to `units` as can be are taken back."""
    return min(units - _taken_back(grant), grant.remaining)


def _taken_back(grant: CreditGrant) -> int:
    """Units that are gone because their money went back."""
    return -int(grant.entries.filter(kind=Kind.REFUND).aggregate(units=Sum("units"))["units"] or 0)


def _insist_on_a_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInATransaction("Draw credits inside the transaction that counts the act.")


def _insist_on_one(record_id: int | None, reservation_id: int | None) -> None:
    if (record_id is None) == (reservation_id is None):
        raise ValueError("Name either the act of the ledger or the reservation.")


def _drawn(*, record_id: int | None, reservation_id: int | None) -> list[tuple[CreditGrant, int]]:
    """The grants this act or reservation drew on and has not given back, in the order they were drawn; locked."""
    entries = CreditEntry.objects.filter(usage_record_id=record_id, reservation_id=reservation_id)
    outstanding: dict[int, int] = {}
    for grant_id, units in entries.order_by("id").values_list("grant_id", "units"):
        outstanding[grant_id] = outstanding.get(grant_id, 0) - units
    locked = {
        grant.pk: grant
        for grant in CreditGrant.objects.filter(pk__in=outstanding).order_by("pk").select_for_update()
    }
    return [(locked[pk], units) for pk, units in outstanding.items() if units > 0]


def _move(
    grant: CreditGrant,
    kind: str,
    units: int,
    *,
    now: datetime,
    record_id: int | None = None,
    reservation_id: int | None = None,
    by: User | None = None,
    reason: str = "",
) -> None:
    """Change what is left, and say so. The grant is locked."""
    CreditGrant.objects.filter(pk=grant.pk).update(remaining=F("remaining") + units)
    grant.remaining += units
    _note(
        grant, kind, units, now=now, record_id=record_id, reservation_id=reservation_id, by=by, reason=reason
    )


def _note(
    grant: CreditGrant,
    kind: str,
    units: int,
    *,
    now: datetime,
    record_id: int | None = None,
    reservation_id: int | None = None,
    by: User | None = None,
    reason: str = "",
) -> None:
    CreditEntry.objects.create(
        grant=grant,
        kind=kind,
        units=units,
        usage_record_id=record_id,
        reservation_id=reservation_id,
        at=now,
        by=by,
        reason=reason,
    )
