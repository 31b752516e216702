"""A unit is used: counted in one atomic act, or refused with the reason. What cannot be checked is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, IntegrityError, connections, transaction

from accounts.models import Account, ApiKey, Member, User
from billing import catalog
from usage.alerts import hearing
from usage.denominations import Denominations
from usage.metering import counters, drawing, portable, postgres, receipts, refusing, together
from usage.metering.attempts import Ask, Attempt
from usage.metering.receipts import Receipt
from usage.metering.refusals import (
    CheckFailed,
    FeatureNotIncluded,
    IdempotencyConflict,
    InvalidKey,
    InvalidUnits,
    UnknownFeature,
)

MOST_UNITS = 1_000_000_000
# A window to open, a plan changing meanwhile, the same key counting elsewhere: each asks for one more try.
TRIES = 5


def consume(
    *,
    account: Account,
    feature: str,
    units: int = 1,
    idempotency_key: str,
    now: datetime,
    user: User | None = None,
    api_key: ApiKey | None = None,
    costs_in: Callable[[], Denominations] | None = None,
) -> Receipt:
    """Count `units` of `feature` against what `account` is granted, all of them or none.

    They come out of the window's allowance first, then out of credits, then they are paid by the unit as far as the
    plan sells units and the account's budget goes; the receipt says from where, and what it costs.

    idempotency_key  names the act, unique per account: the same act sent again is counted once and answered alike
    account          known by its id alone (`by_id_alone`) is enough; then it may raise Account.DoesNotExist
    now              everybody's time; an account on a Stripe test clock is counted in its clock's time instead
    user, api_key    who acted; a user must be a member of the account who may use (guests read only)
    costs_in         what the account paid in and when, looked up once for the lines of a batch

    On PostgreSQL an ordinary act is one round trip and its own transaction; called inside a transaction it is part of
    that one, and the counter stays locked until it ends.

    Raises AllowanceExhausted (BudgetReached and MemberBudgetReached are among it), FeatureNotIncluded (all say what
    was used and what helps), UnknownFeature,
    InvalidUnits, InvalidKey, IdempotencyConflict; CheckFailed when the answer could not be established: nothing may
    be let through then, and asking again with the same key is safe.
    """
    check(units, idempotency_key)
    try:
        plan_list = catalog.current()
        known = plan_list.features.get(feature)
        if known is None or known.kind not in ("allowance", "metered"):
            raise UnknownFeature(f"The price list has nothing countable called {feature!r}.")
        if user is not None:
            check_role(account, user, feature)
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
        receipt = _receipt(attempt, account=account, feature=feature, units=units, costs_in=costs_in)
    except (Error, catalog.CatalogError) as error:
        raise CheckFailed(
            "The allowance could not be checked just now, so nothing was counted. Try again with the same key."
        ) from error
    if not receipt.replayed:
        hearing.note(units=units, used=receipt.used, limit=receipt.limit, cost=receipt.cost)
    return receipt


def check(units: int, idempotency_key: str) -> None:
    """Raises InvalidUnits, InvalidKey."""
    # bool is an int to Python; True documents are nobody's intention.
    if type(units) is not int or not 1 <= units <= MOST_UNITS:
        raise InvalidUnits(f"Units must be a whole number from 1 to {MOST_UNITS:,}.")
    if (
        not isinstance(idempotency_key, str)
        or not 1 <= len(idempotency_key) <= 200
        or "\0" in idempotency_key
    ):
        raise InvalidKey("An idempotency key must be 1 to 200 characters. Send one that names this act.")
    try:
        idempotency_key.encode()
    except UnicodeEncodeError:
        raise InvalidKey(
            "An idempotency key must be text; this one has half of a character. Send one that names this act."
        ) from None


def check_role(account: Account, user: User, feature: str) -> None:
    """Guests look and do not use. Raises FeatureNotIncluded (reason `role`)."""
    member = Member.objects.filter(account=account, user=user).first()
    if member is None or not member.may_use:
        raise FeatureNotIncluded(
            f"Guests of {account.name} can look but not use. Ask an owner or admin for the role of a member.",
            feature=feature,
            reason="role",
            used=0,
            limit=0,
            comes_back_at=None,
            upgrade_url="",
            is_more_sold=False,
            helps=("ask_an_admin",),
        )


def _attempt_until_clear(account: Account, ask: Ask) -> Attempt:
    for _ in range(TRIES):
        try:
            attempt = _attempt(ask)
            if attempt.outcome == "asks":
                attempt = drawing.draw(ask)
        except IntegrityError:
            # The same key was being counted for another feature, or a row was made by someone else meanwhile.
            continue
        if attempt.outcome != "stale":
            return attempt
        if missing := account.get_deferred_fields():
            account.refresh_from_db(fields=missing)
        try:
            counters.open_at(account, ask.feature, now=attempt.seen_at)
        except IntegrityError:
            continue
    raise CheckFailed(
        "The account's plan is changing just now, so nothing was counted. Try again with the same key."
    )


def _attempt(ask: Ask) -> Attempt:
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "postgresql":
        return portable.attempt(ask)
    if database.in_atomic_block:
        # A violated constraint must not end the caller's transaction.
        with transaction.atomic():
            attempt = postgres.attempt(ask)
        # Counted elsewhere a moment ago, it is on disk when the caller commits, also if that writes nothing else.
        if attempt.needs_barrier and settings.METERING_EARLY_LOCK_RELEASE != "off":
            postgres.barrier()
        return attempt
    return together.attempt(ask)


def _receipt(
    attempt: Attempt,
    *,
    account: Account,
    feature: str,
    units: int,
    costs_in: Callable[[], Denominations] | None,
) -> Receipt:
    if attempt.outcome == "conflict":
        raise IdempotencyConflict(
            "This idempotency key was used before for another feature or number of units. Use a new key for a new act."
        )
    if attempt.outcome == "exhausted":
        raise refusing.exhausted(attempt, account=account, feature=feature, units=units)
    return receipts.made(attempt, account_id=account.pk, feature=feature, units=units, costs_in=costs_in)
