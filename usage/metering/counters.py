"""The counter of a window: opened by the first use in it, and told again what it may count when that has changed."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import datetime

from django.db import connection, transaction

from accounts.models import Account
from billing import entitlements
from usage.metering import carrying, holding, terms, windows
from usage.models import MemberCounter, UsageCounter


def open_at(account: Account, feature: str, *, now: datetime) -> None:
    """Make the counter of the window at `now` (the account's time) say what is granted now.

    Raises as `windows.of` does.

    The row is made by the first use in its window. A row that is there keeps what it counted: an upgrade changes
    the limit, not what was used.
    """
    rights = entitlements.of(account, now=now)
    window = windows.of(rights, feature, now=now)
    with transaction.atomic():
        queue(account.pk, feature)
        counter = (
            UsageCounter.objects.select_for_update()
            .filter(account=account, feature=feature, period_start=window.period.start)
            .first()
        )
        own = counter.used - counter.carried if counter else 0
        carried = carrying.units(rights, feature, window.period)
        told = {
            **asdict(terms.of(rights, window, counter=counter)),
            "carried": carried,
            "used": own + carried,
        }
        # What each member used is added up anew: it was not counted while nobody had a budget.
        MemberCounter.objects.filter(
            account=account, feature=feature, period_start=window.period.start
        ).delete()
        if counter:
            UsageCounter.objects.filter(pk=counter.pk).update(**told)
        else:
            UsageCounter.objects.create(
                account=account,
                feature=feature,
                period_start=window.period.start,
                period_end=window.period.end,
                **told,
            )
        holding.follow(account, feature, window.period, now=now)


def queue(account_id: uuid.UUID, feature: str) -> None:
    """Wait for those counting this right now, and keep them waiting until the transaction ends.

    On SQLite the transaction itself has.
    """
    _lock(f"{account_id}:{feature}")


def queue_for_money(account_id: uuid.UUID) -> None:
    """The same for what the account spends on all its features; taken after the feature's own queue."""
    _lock(f"{account_id}:money:")


def _lock(name: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
