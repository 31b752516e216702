"""Credits are drawn by the act that counts, or held for work under way, and go back where they came from."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection

from accounts.models import Account
from billing import grants
from billing.credits import entries
from billing.credits.entries import Kind
from billing.models import CreditEntry, CreditGrant


class NotInATransaction(Exception):
    """Credits are drawn in the transaction that counts the act, or not at all."""


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
        entries.move(grant, kind, -part, now=now, record_id=record_id, reservation_id=reservation_id)
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
    known = CreditEntry.objects.filter(usage_record_id=record_id, reservation_id=reservation_id)
    first = known.select_related("grant__account").first()
    if first is None:
        return 0
    grants.rights_changed(first.grant.account)
    returned = 0
    for grant, outstanding in reversed(_drawn(record_id=record_id, reservation_id=reservation_id)):
        part = outstanding if units is None else min(outstanding, units - returned)
        if part > 0:
            entries.move(
                grant, Kind.RELEASE, part, now=now, record_id=record_id, reservation_id=reservation_id
            )
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
        entries.note(grant, Kind.RELEASE, part, now=now, reservation_id=reservation_id)
        entries.note(grant, Kind.BURN, -part, now=now, record_id=record_id)
        kept += part
    return kept


def _insist_on_a_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInATransaction("Draw credits inside the transaction that counts the act.")


def _insist_on_one(record_id: int | None, reservation_id: int | None) -> None:
    if (record_id is None) == (reservation_id is None):
        raise ValueError("Name either the act of the ledger or the reservation.")


def _drawn(*, record_id: int | None, reservation_id: int | None) -> list[tuple[CreditGrant, int]]:
    """The grants this act or reservation drew on and has not given back, in the order they were drawn; locked."""
    known = CreditEntry.objects.filter(usage_record_id=record_id, reservation_id=reservation_id)
    outstanding: dict[int, int] = {}
    for grant_id, units in known.order_by("id").values_list("grant_id", "units"):
        outstanding[grant_id] = outstanding.get(grant_id, 0) - units
    locked = {
        grant.pk: grant
        for grant in CreditGrant.objects.filter(pk__in=outstanding).order_by("pk").select_for_update()
    }
    return [(locked[pk], units) for pk, units in outstanding.items() if units > 0]
