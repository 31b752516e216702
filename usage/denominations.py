"""What the cost of an act is in: the ledger keeps a number, and an account may begin to pay in another currency.

Before the first purchase units cost in the price list's own currency (a plan given by staff sells them too); after
it in the currency of that purchase.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from dataclasses import dataclass

from accounts.models import Account
from billing import currencies
from usage.models import CurrencyBefore, UsageRecord


@dataclass(frozen=True)
class Denominations:
    """Of one account's acts, by their number in the ledger."""

    now: str
    # The last act in each currency it had before, and that currency, ascending.
    before: tuple[tuple[int, str], ...]

    def of(self, record_id: int) -> str:
        place = bisect_left([last for last, _ in self.before], record_id)
        return self.before[place][1] if place < len(self.before) else self.now


def of(account_id: uuid.UUID) -> Denominations:
    rows = CurrencyBefore.objects.filter(account=account_id).order_by("last_record_id")
    before = tuple(rows.values_list("last_record_id", "currency"))
    return Denominations(now=currencies.of(account_id), before=before)


def remember(account: Account, *, before: str) -> None:
    """From now on it pays in another currency than `before`. Inside the transaction that makes it so."""
    last = UsageRecord.objects.filter(account=account).order_by("-pk").values_list("pk", flat=True).first()
    if last is not None:
        # Two changes without an act between them: the acts were in the first one's.
        CurrencyBefore.objects.get_or_create(
            account=account, last_record_id=last, defaults={"currency": before}
        )
