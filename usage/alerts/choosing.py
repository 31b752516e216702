"""What an account wants to be warned of: percents of its allowances, sums of money a month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Account, User
from usage.models import AlertWish

DEFAULT_PERCENTS = (50, 80, 95, 100)
MOST_THRESHOLDS = 10
# Eight digits, as the largest charge at Stripe: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MOST_AMOUNT = 99_999_999


class BadThreshold(ValueError):
    """This cannot be a threshold; the text is for the customer."""


@dataclass(frozen=True)
class Wishes:
    """Ascending percents of every allowance, and ascending sums (minor units) of a billing month."""

    percents: tuple[int, ...] = DEFAULT_PERCENTS
    amounts: tuple[int, ...] = ()


def of(account: Account) -> Wishes:
    """The account's own, or the house's."""
    wish = AlertWish.objects.filter(account=account).first()
    return Wishes() if wish is None else _read(wish)


def of_many(account_ids: Iterable[object]) -> dict[object, Wishes]:
    """The same for many, by account id; who has none of their own is missing."""
    return {wish.account_id: _read(wish) for wish in AlertWish.objects.filter(account__in=set(account_ids))}


def choose(
    *, account: Account, percents: Iterable[int], amounts: Iterable[int], by: User | None, now: datetime
) -> Wishes:
    """Keep an account's thresholds; none at all means no warnings. Raises BadThreshold, and then nothing is kept.

    A threshold that lies behind already is not told again; `now` is the account's time.
    """
    wishes = Wishes(percents=_ascending(percents), amounts=_ascending(amounts))
    if any(not 1 <= percent <= 100 for percent in wishes.percents):
        raise BadThreshold("A percent is a whole number from 1 to 100.")
    if any(not 1 <= amount <= MOST_AMOUNT for amount in wishes.amounts):
        raise BadThreshold("A sum is an amount of money above zero. Write a smaller one.")
    if max(len(wishes.percents), len(wishes.amounts)) > MOST_THRESHOLDS:
        raise BadThreshold(f"Choose at most {MOST_THRESHOLDS} of each.")
    AlertWish.objects.update_or_create(
        account=account,
        defaults={
            "percents": list(wishes.percents),
            "amounts": list(wishes.amounts),
            "set_by": by,
            "changed_at": now,
        },
    )
    return wishes


def _read(wish: AlertWish) -> Wishes:
    return Wishes(percents=tuple(wish.percents), amounts=tuple(wish.amounts))


def _ascending(numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(numbers)))
