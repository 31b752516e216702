"""Units held before the work and settled after it: an upper bound is set aside, so that the work cannot be refused
once it is done.

    reserve   as many units as the work may take at most, out of the allowance, credits and paid use as an act draws
    settle    what it took (usage.metering.settling); the rest goes back
    release   it failed; everything goes back

A hold that is neither is over by the clock: nobody has to clean up after a crash.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error, IntegrityError, transaction

from accounts.models import Account, ApiKey, User
from billing import catalog, clock
from usage.metering import consuming, counters, drawing, holding, ledger, refusing
from usage.metering.attempts import Ask, Attempt
from usage.metering.refusals import CheckFailed, IdempotencyConflict, UnknownFeature
from usage.models import Reservation

HOLDS_FOR = timedelta(minutes=10)
LONGEST_HOLD = timedelta(days=1)
State = Reservation.State


class UnknownReservation(Exception):
    """The account has no reservation of this number."""


class ReservationOver(Exception):
    """It was released, or it was settled and cannot be released any more. Nothing was changed."""


class InvalidTime(ValueError):
    """Units are held from one second to one day. Nothing was held."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Units set aside until `expires_at` (the account's time).

    `state` is held, settled, released or expired. Of the units, `credited` come from credits and `billed` would be
    paid by the unit; the rest is of the window's allowance. `record_id`: the act in the ledger, once it is settled
    for `settled_units`. `replayed`: the key had held them before.
    """

    id: int
    feature: str
    units: int
    credited: int
    billed: int
    state: str
    held_at: datetime
    expires_at: datetime
    settled_units: int | None
    record_id: int | None
    replayed: bool = False


def reserve(
    *,
    account: Account,
    feature: str,
    units: int,
    idempotency_key: str,
    now: datetime,
    holds_for: timedelta = HOLDS_FOR,
    user: User | None = None,
    api_key: ApiKey | None = None,
) -> Hold:
    """Set `units` of `feature` aside for work that is about to begin, all of them or none.

    idempotency_key  names the work, unique among the account's reservations: reserved again it is the same hold
    now              everybody's time; an account on a Stripe test clock holds in its clock's time
    holds_for        1 second to 1 day; then the units are anybody's again, with no job to run
    user, api_key    who acts; a user must be a member of the account who may use

    What is held counts against the limit, the budget and the member's budget as if it were used. Raises as `consume`
    does, and InvalidTime.
    """
    consuming.check(units, idempotency_key)
    if not timedelta(seconds=1) <= holds_for <= LONGEST_HOLD:
        raise InvalidTime("Units are held for 1 second to 1 day. Settle or release in that time.")
    try:
        prices = catalog.current()
        known = prices.features.get(feature)
        if known is None or known.kind not in ("allowance", "metered"):
            raise UnknownFeature(f"The price list has nothing countable called {feature!r}.")
        if user is not None:
            consuming.check_role(account, user, feature)
        ask = Ask(
            account_id=account.pk,
            feature=feature,
            units=units,
            idempotency_key=idempotency_key,
            now=now,
            catalog=prices.fingerprint,
            meter_event_name=known.meter_event_name,
            user_id=user.pk if user else None,
            api_key_id=api_key.pk if api_key else None,
        )
        return _until_clear(account, ask, holds_for)
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "The allowance could not be checked just now, so nothing was held. Try again with the same key."
        ) from error


def find(*, account: Account, reservation_id: int, now: datetime) -> Hold:
    """How a reservation stands at `now` (everybody's time). Raises UnknownReservation, also for another account's."""
    return seen(_row(account, reservation_id), now=clock.at(account, now=now))


def release(*, account: Account, reservation_id: int, now: datetime, user: User | None = None) -> Hold:
    """Give everything back: the work failed, or was called off. Twice, or when it is over by the clock, is harmless.

    `user` is who releases, if a person does; must be a member who may use. Raises UnknownReservation; ReservationOver
    when it was settled: what was used is not undone by a release; FeatureNotIncluded (guests), CheckFailed.
    """
    feature = _row(account, reservation_id).feature
    try:
        if user is not None:
            consuming.check_role(account, user, feature)
        with transaction.atomic():
            counters.queue(account.pk, feature)
            reservation = Reservation.objects.select_for_update().get(pk=reservation_id)
            seen_at = clock.at(account, now=now)
            if reservation.state == State.SETTLED:
                raise ReservationOver(
                    "It was settled, so it cannot be released. What was used stays counted."
                )
            if reservation.state == State.HELD:
                in_time = seen_at < reservation.expires_at
                state = State.RELEASED if in_time else State.EXPIRED
                holding.put_back(reservation, state=state, now=seen_at)
    except Error as error:
        raise CheckFailed("It could not be released just now. Try again, or let it expire.") from error
    return seen(reservation, now=seen_at)


def seen(reservation: Reservation, *, now: datetime, replayed: bool = False) -> Hold:
    """The reservation as its owner may see it at `now` (the account's time)."""
    is_overdue = reservation.state == State.HELD and reservation.expires_at <= now
    return Hold(
        id=reservation.pk,
        feature=reservation.feature,
        units=reservation.units,
        credited=reservation.credited,
        billed=reservation.billed,
        state=str(State.EXPIRED if is_overdue else State(reservation.state)),
        held_at=reservation.held_at,
        expires_at=reservation.expires_at,
        settled_units=reservation.settled_units,
        record_id=reservation.record_id,
        replayed=replayed,
    )


def _row(account: Account, reservation_id: int) -> Reservation:
    reservation = Reservation.objects.filter(account=account, pk=reservation_id).first()
    if reservation is None:
        raise UnknownReservation("There is no such reservation. Check its number and the account.")
    return reservation


def _until_clear(account: Account, ask: Ask, holds_for: timedelta) -> Hold:
    for _ in range(consuming.TRIES):
        try:
            found = _try(ask, holds_for)
        except IntegrityError:
            # The same key was being held for another feature, or credits went elsewhere meanwhile.
            continue
        if isinstance(found, Hold):
            return found
        if found.outcome == "exhausted":
            raise refusing.exhausted(found, account=account, feature=ask.feature, units=ask.units)
        try:
            counters.open_at(account, ask.feature, now=found.seen_at)
        except IntegrityError:
            continue
    raise CheckFailed(
        "The account's plan is changing just now, so nothing was held. Try again with the same key."
    )


def _try(ask: Ask, holds_for: timedelta) -> Hold | Attempt:
    try:
        with transaction.atomic():
            counters.queue(ask.account_id, ask.feature)
            return _set_aside(ask, holds_for)
    except drawing.NotEnough as refused:
        return refused.attempt


def _set_aside(ask: Ask, holds_for: timedelta) -> Hold | Attempt:
    stamp, seen_at = ledger.seen(ask)
    earlier = Reservation.objects.filter(
        account_id=ask.account_id, idempotency_key=ask.idempotency_key
    ).first()
    if earlier is not None:
        if (earlier.feature, earlier.units) != (ask.feature, ask.units):
            raise IdempotencyConflict(
                "This idempotency key has held another feature or number of units. Use a new key for new work."
            )
        return seen(earlier, now=seen_at, replayed=True)
    if holding.sweep(ask.account_id, ask.feature, now=seen_at):
        stamp, seen_at = ledger.seen(ask)
    counter = ledger.open_counter(ask, stamp=stamp, seen_at=seen_at)
    if counter is None:
        return Attempt("stale", seen_at)
    if counter.counts_members and ask.user_id is not None:
        drawing.check_member(ask, counter, seen_at=seen_at)

    free = counter.allowance_left
    more = 0 if free is None else max(ask.units - free, 0)
    found = drawing.beyond(ask, counter, more, seen_at=seen_at) if more else None
    reservation = Reservation.objects.create(
        account_id=ask.account_id,
        feature=ask.feature,
        units=ask.units,
        credited=found.credited if found else 0,
        billed=found.billed if found else 0,
        idempotency_key=ask.idempotency_key,
        ledger_key=f"reservation:{ask.idempotency_key[:150]}:{uuid.uuid4().hex[:12]}",
        period_start=counter.period_start,
        held_at=seen_at,
        expires_at=seen_at + holds_for,
        user_id=ask.user_id,
        api_key_id=ask.api_key_id,
    )
    drawing.take_credits(ask, reservation.credited, seen_at=seen_at, reservation_id=reservation.pk)
    counter.reserved += reservation.from_allowance
    counter.paid_reserved += reservation.billed
    # Whoever is short of units from now on must first look whether a hold is overdue.
    counter.asks_first = True
    counter.save(update_fields=["reserved", "paid_reserved", "asks_first"])
    return seen(reservation, now=seen_at)
