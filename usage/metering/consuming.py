"""A unit is used: counted in one atomic act, or refused with the reason. What cannot be checked is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import Error, IntegrityError, connection, transaction

from accounts.models import Account, ApiKey, Member, User
from billing import catalog
from usage.metering import portable, postgres, windows
from usage.metering.attempts import Ask, Attempt
from usage.metering.refusals import (
    AllowanceExhausted,
    CheckFailed,
    FeatureNotIncluded,
    IdempotencyConflict,
    InvalidKey,
    InvalidUnits,
    UnknownFeature,
)
from usage.periods import Period

MOST_UNITS = 1_000_000_000
# A window to open, a plan changing meanwhile, the same key counting elsewhere: each asks for one more try.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an act was counted as. `used`, `limit`, `remaining` are units after it; None: unlimited.

    `record_id` is its row in the ledger; `resets_at` is when the allowance comes back, in the account's time;
    `replayed`: the key had been counted before, and the numbers are those of then.
    """

    record_id: int
    feature: str
    units: int
    used: int
    limit: int | None
    remaining: int | None
    resets_at: datetime
    replayed: bool


def consume(
    *,
    account: Account,
    feature: str,
    units: int = 1,
    idempotency_key: str,
    now: datetime,
    user: User | None = None,
    api_key: ApiKey | None = None,
) -> Receipt:
    """Count `units` of `feature` against what `account` is granted, all of them or none.

    idempotency_key  names the act, unique per account: the same act sent again is counted once and answered alike
    account          known by its id alone (`by_id_alone`) is enough; then it may raise Account.DoesNotExist
    now              everybody's time; an account on a Stripe test clock is counted in its clock's time instead
    user, api_key    who acted; a user must be a member of the account who may use (guests read only)

    On PostgreSQL an ordinary act is one round trip and its own transaction; called inside a transaction it is part of
    that one, and the counter stays locked until it ends.

    Raises AllowanceExhausted, FeatureNotIncluded (both say what was used and what helps), UnknownFeature,
    InvalidUnits, InvalidKey, IdempotencyConflict; CheckFailed when the answer could not be established: nothing may
    be let through then, and asking again with the same key is safe.
    """
    _check(units, idempotency_key)
    try:
        plan_list = catalog.current()
        known = plan_list.features.get(feature)
        if known is None or known.kind not in ("allowance", "metered"):
            raise UnknownFeature(f"The price list has nothing countable called {feature!r}.")
        if user is not None:
            _check_role(account, user, feature)
        attempt = _attempt_until_clear(
            account,
            Ask(
                account_id=account.pk,
                feature=feature,
                units=units,
                idempotency_key=idempotency_key,
                now=now,
                catalog=plan_list.fingerprint,
                meter_event_name=known.meter_event_name,
                user_id=user.pk if user else None,
                api_key_id=api_key.pk if api_key else None,
            ),
        )
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "The allowance could not be checked just now, so nothing was counted. Try again with the same key."
        ) from error
    return _receipt(attempt, account=account, feature=feature, units=units)


def _check(units: int, idempotency_key: str) -> None:
    # bool is an int to Python; True documents are nobody's intention.
    if type(units) is not int or not 1 <= units <= MOST_UNITS:
        raise InvalidUnits(f"Units must be a whole number from 1 to {MOST_UNITS:,}.")
    if (
        not isinstance(idempotency_key, str)
        or not 1 <= len(idempotency_key) <= 200
        or "\0" in idempotency_key
    ):
        raise InvalidKey("An idempotency key must be 1 to 200 characters. Send one that names this act.")


def _check_role(account: Account, user: User, feature: str) -> None:
    member = Member.objects.filter(account=account, user=user).first()
    if member is None or not member.may_use:
        raise FeatureNotIncluded(
            f"Guests of {account.name} can look but not use. Ask an owner or admin for the role of a member.",
            feature=feature,
            reason="role",
            used=0,
            limit=0,
            comes_back_at=None,
            upgrade_url=windows.upgrade_url(),
        )


def _attempt_until_clear(account: Account, ask: Ask) -> Attempt:
    for _ in range(TRIES):
        try:
            attempt = _attempt(ask)
        except IntegrityError:
            # The same key was being counted for another feature, or a row was made by someone else meanwhile.
            continue
        if attempt.outcome != "stale":
            return attempt
        if missing := account.get_deferred_fields():
            account.refresh_from_db(fields=missing)
        try:
            windows.open_counter(account, ask.feature, now=attempt.seen_at)
        except IntegrityError:
            continue
    raise CheckFailed(
        "The account's plan is changing just now, so nothing was counted. Try again with the same key."
    )


def _attempt(ask: Ask) -> Attempt:
    if connection.vendor != "postgresql":
        return portable.attempt(ask)
    if connection.in_atomic_block:
        # A violated constraint must not end the caller's transaction.
        with transaction.atomic():
            attempt = postgres.attempt(ask)
    else:
        attempt = postgres.attempt(ask)
    if attempt.needs_barrier and settings.METERING_EARLY_LOCK_RELEASE != "off":
        postgres.barrier()
    return attempt


def _receipt(attempt: Attempt, *, account: Account, feature: str, units: int) -> Receipt:
    if attempt.outcome == "conflict":
        raise IdempotencyConflict(
            "This idempotency key was used before for another feature or number of units. Use a new key for a new act."
        )
    assert attempt.period_end is not None
    if attempt.outcome == "exhausted":
        raise _exhausted(attempt, account=account, feature=feature, units=units)
    assert attempt.record_id is not None
    return Receipt(
        record_id=attempt.record_id,
        feature=feature,
        units=units,
        used=attempt.used,
        limit=attempt.limit,
        remaining=None if attempt.limit is None else max(attempt.limit - attempt.used - attempt.reserved, 0),
        resets_at=attempt.period_end,
        replayed=attempt.outcome == "replayed",
    )


def _exhausted(attempt: Attempt, *, account: Account, feature: str, units: int) -> AllowanceExhausted:
    assert attempt.limit is not None
    assert attempt.period_start is not None
    assert attempt.period_end is not None
    left = max(attempt.limit - attempt.used - attempt.reserved, 0)
    day = attempt.period_end.astimezone(ZoneInfo(account.timezone))
    period = Period(attempt.period_start, attempt.period_end)
    is_more_sold = windows.is_more_sold(feature, limit=attempt.limit, period=period)
    return AllowanceExhausted(
        f"{units:,} asked for, {left:,} left of {attempt.limit:,}. The allowance comes back on {day:%-d %B %Y}"
        + ("; a bigger plan has more at once." if is_more_sold else "."),
        feature=feature,
        reason="allowance_exhausted",
        used=attempt.used,
        reserved=attempt.reserved,
        limit=attempt.limit,
        comes_back_at=attempt.period_end,
        upgrade_url=windows.upgrade_url(),
        is_more_sold=is_more_sold,
    )
