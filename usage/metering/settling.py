"""Work that is done is counted: what it took out of what was held for it, and the rest goes back.

In time, what was held is counted whatever has happened to the plan meanwhile: it was promised. It counts in the window
it was held in, also when that has ended. Once the hold's time is over nothing was promised any more, and settling
counts the units as any act would be counted at that moment, once, or is refused.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Literal

from django.db import Error, transaction
from django.db.models import F

from accounts.models import Account, User
from billing import catalog, clock, credits, entitlements
from usage.metering import consuming, counters, holding, ledger, receipts, reserving, spending
from usage.metering.attempts import Ask
from usage.metering.receipts import Receipt, Source
from usage.metering.refusals import CheckFailed, FeatureNotIncluded, IdempotencyConflict, UnknownFeature
from usage.metering.reserving import ReservationOver
from usage.models import MemberCounter, Reservation, UsageCounter, UsageRecord

State = Reservation.State
Beyond = Literal["draw", "refuse"]


class MoreThanHeld(Exception):
    """More was used than was held, and this settlement may not draw more. Nothing was counted; the hold stands."""


def settle(
    *,
    account: Account,
    reservation_id: int,
    units: int,
    now: datetime,
    beyond: Beyond = "draw",
    user: User | None = None,
) -> Receipt:
    """Count `units` for the work that was reserved for; the receipt is as `consume`'s.

    units   what it took, at least 1 (nothing at all is a `release`)
    now     everybody's time; an account on a Stripe test clock settles in its clock's time
    beyond  when it took more than was held: "draw" the rest as an act does now, or be refused whole; "refuse"
    user    who settles, if a person does; must be a member who may use

    Settled again for the same units it is answered alike; for others it is a conflict. Whatever is refused counts
    nothing and leaves the hold as it was: settle for what was held, or release.

    Raises UnknownReservation, ReservationOver (it was released), MoreThanHeld, InvalidUnits, IdempotencyConflict;
    AllowanceExhausted and FeatureNotIncluded, for more than was held or too late; CheckFailed.
    """
    consuming.check(units, "settlement")
    feature = reserving.find(account=account, reservation_id=reservation_id, now=now).feature
    try:
        if user is not None:
            consuming.check_role(account, user, feature)
        with transaction.atomic():
            counters.queue(account.pk, feature)
            reservation = Reservation.objects.select_for_update().get(pk=reservation_id)
            seen_at = clock.at(account, now=now)
            if reservation.state == State.SETTLED:
                return _again(reservation, units, now=now)
            if reservation.state == State.RELEASED:
                raise ReservationOver(
                    "It was released, so nothing is held for it. Count the units as a new act."
                )
            if reservation.state == State.HELD and seen_at < reservation.expires_at:
                return _in_time(account, reservation, units, now=now, seen_at=seen_at, beyond=beyond)
            if reservation.state == State.HELD:
                holding.put_back(reservation, state=State.EXPIRED, now=seen_at)
        return _late(account, reservation, units, now=now)
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "It could not be counted just now. Settle again with the same number; it counts once."
        ) from error


def _in_time(
    account: Account,
    reservation: Reservation,
    units: int,
    *,
    now: datetime,
    seen_at: datetime,
    beyond: Beyond,
) -> Receipt:
    more = units - reservation.units
    if more > 0 and beyond == "refuse":
        raise MoreThanHeld(
            f"{units:,} were used and {reservation.units:,} are held. Settle for what is held, or release it."
        )
    _catch_up(account, reservation, now=now, seen_at=seen_at)
    receipt = _count_held(account, reservation, min(units, reservation.units), now=now, seen_at=seen_at)
    reservation.state, reservation.ended_at = State.SETTLED, seen_at
    reservation.record_id, reservation.settled_units = receipt.record_id, units
    reservation.save(update_fields=["state", "ended_at", "record_id", "settled_units"])
    if more <= 0:
        return receipt
    # Refused, it takes the whole settlement back with it.
    rest = consuming.consume(
        account=account,
        feature=reservation.feature,
        units=more,
        idempotency_key=_key_of_more(reservation),
        now=now,
        user=reservation.user,
        api_key=reservation.api_key,
    )
    return _together(receipt, rest)


def _catch_up(account: Account, reservation: Reservation, *, now: datetime, seen_at: datetime) -> None:
    """When the plan has changed since, the counter is told first, so that the receipt says what is left of the new
    one; a window that moved takes the hold along. What the new plan does not include was promised all the same."""
    stamp, _ = ledger.seen(_ask(reservation, reservation.units, now=now))
    counters_now = UsageCounter.objects.filter(
        account=account, feature=reservation.feature, period_start__lte=seen_at, period_end__gt=seen_at
    )
    if not counters_now.exclude(stamp=stamp).exists():
        return
    with suppress(FeatureNotIncluded, UnknownFeature):
        counters.open_at(account, reservation.feature, now=seen_at)
    reservation.refresh_from_db()


def _count_held(
    account: Account, reservation: Reservation, units: int, *, now: datetime, seen_at: datetime
) -> Receipt:
    """Count what was promised, of the sources it was promised from, in their order."""
    counter = UsageCounter.objects.select_for_update().get(
        account=account, feature=reservation.feature, period_start=reservation.period_start
    )
    credited = min(max(units - reservation.from_allowance, 0), reservation.credited)
    billed = max(units - reservation.from_allowance - reservation.credited, 0)
    counter.reserved -= reservation.from_allowance
    counter.paid_reserved -= reservation.billed
    counter.save(update_fields=["reserved", "paid_reserved"])
    attempt = ledger.write(
        _ask(reservation, units, now=now),
        counter,
        seen_at=seen_at,
        credited=credited,
        billed=billed,
        cost=_cost(account, reservation.feature, billed, counter=counter, now=seen_at) if billed else 0,
    )
    if reservation.credited:
        assert attempt.record_id is not None
        if credited < reservation.credited:
            # First, as it locks the customer's row, which comes before the grants' everywhere.
            rest = reservation.credited - credited
            credits.put_back(reservation_id=reservation.pk, units=rest, now=seen_at)
        credits.keep(reservation_id=reservation.pk, units=credited, record_id=attempt.record_id, now=seen_at)
    if reservation.user_id is not None:
        # Kept only while members have budgets; who is not in it yet is added up from the ledger.
        MemberCounter.objects.filter(
            account=account,
            user_id=reservation.user_id,
            feature=reservation.feature,
            period_start=reservation.period_start,
        ).update(used=F("used") + units)
    return receipts.made(attempt, account_id=account.pk, feature=reservation.feature, units=units)


def _cost(account: Account, feature: str, billed: int, *, counter: UsageCounter, now: datetime) -> int:
    """Minor units for what was promised to be paid for: at the price of now, or of then when there is none now."""
    counters.queue_for_money(account.pk)
    rights = entitlements.of(account, now=now)
    price = spending.prices(rights).get(feature)
    if price is None:
        return billed * (counter.unit_amount or 0)
    before = spending.units_paid(rights, feature)
    return price.charge(before + billed) - price.charge(before)


def _late(account: Account, reservation: Reservation, units: int, *, now: datetime) -> Receipt:
    """As an act of now, under the reservation's own key: whoever settles it again finds the same act."""
    receipt = consuming.consume(
        account=account,
        feature=reservation.feature,
        units=units,
        idempotency_key=reservation.ledger_key,
        now=now,
        user=reservation.user,
        api_key=reservation.api_key,
    )
    Reservation.objects.filter(pk=reservation.pk, state=State.EXPIRED).update(
        state=State.SETTLED, record_id=receipt.record_id, settled_units=units
    )
    return receipt


def _again(reservation: Reservation, units: int, *, now: datetime) -> Receipt:
    if units != reservation.settled_units:
        raise IdempotencyConflict(
            f"It was settled for {reservation.settled_units:,} before. What was counted stays as it is."
        )
    assert reservation.record_id is not None
    record = UsageRecord.objects.get(pk=reservation.record_id)
    receipt = _of_then(reservation, record.units, reservation.ledger_key, now=now)
    if units == record.units:
        return receipt
    return _together(receipt, _of_then(reservation, units - record.units, _key_of_more(reservation), now=now))


def _of_then(reservation: Reservation, units: int, key: str, *, now: datetime) -> Receipt:
    earlier = ledger.repeated(replace(_ask(reservation, units, now=now), idempotency_key=key), seen_at=now)
    assert earlier is not None
    return receipts.made(earlier, account_id=reservation.account_id, feature=reservation.feature, units=units)


def _together(first: Receipt, rest: Receipt) -> Receipt:
    """One receipt of two acts: numbers as after the second, sources and costs of both."""
    sources: dict[str, Source] = {}
    for source in (*first.sources, *rest.sources):
        before = sources.get(source.kind)
        amount = None if source.amount is None else source.amount + ((before and before.amount) or 0)
        units = source.units + (before.units if before else 0)
        sources[source.kind] = Source(source.kind, units, amount)
    return rest._replace(
        record_id=first.record_id,
        units=first.units + rest.units,
        sources=tuple(sources.values()),
        cost=first.cost + rest.cost,
        currency=(first if first.cost else rest).currency,
    )


def _key_of_more(reservation: Reservation) -> str:
    return f"{reservation.ledger_key}:more"


def _ask(reservation: Reservation, units: int, *, now: datetime) -> Ask:
    prices = catalog.current()
    known = prices.features.get(reservation.feature)
    return Ask(
        account_id=reservation.account_id,
        feature=reservation.feature,
        units=units,
        idempotency_key=reservation.ledger_key,
        now=now,
        catalog=prices.fingerprint,
        meter_event_name=known.meter_event_name if known else None,
        user_id=reservation.user_id,
        api_key_id=reservation.api_key_id,
    )
