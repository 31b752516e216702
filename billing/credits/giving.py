"""Credits are given: bought ones by what was paid, others by staff or by the price list, each fact once."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Account, User
from billing import catalog, grants
from billing.credits import entries
from billing.credits.entries import Kind
from billing.lifecycle import customers
from billing.models import CreditGrant
from billing.models.credits import FIRST_COME

MOST_UNITS = 1_000_000_000_000


class BadCredits(ValueError):
    """These units cannot be given or corrected; the text says why."""


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
            entries.note(grant, Kind.GRANT, units, now=now, by=by, reason=reason)
    return grant


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
