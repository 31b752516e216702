"""The slow way, beyond the allowance: forgiven once, then credits, then paid by the unit as far as the budget goes.

One transaction under the queue of the account and feature, the same on every database. Who comes here was sent by the
fast way, which counts whatever needs nobody else to be asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Sum

from accounts.models import Account
from billing import credits, entitlements
from billing.entitlements import Entitlements
from usage.metering import counters, forgiving, holding, ledger, spending, terms
from usage.metering.attempts import Ask, Attempt
from usage.models import MemberBudget, MemberCounter, UsageCounter, UsageRecord


def draw(ask: Ask) -> Attempt:
    """Count the act from wherever its units come, all of them or none. Raises IntegrityError: try again.

    The order of locks is everywhere the same: the queue of the feature, the queue for money, the grants of credits.
    """
    try:
        with transaction.atomic():
            counters.queue(ask.account_id, ask.feature)
            return _draw(ask)
    except NotEnough as refused:
        # Whatever was drawn on the way is undone with the transaction.
        return refused.attempt


class NotEnough(Exception):
    """Not so many units: ends the transaction, and says how things stand."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt


def _draw(ask: Ask) -> Attempt:
    stamp, seen_at = ledger.seen(ask)
    if holding.sweep(ask.account_id, ask.feature, now=seen_at):
        stamp, seen_at = ledger.seen(ask)
    earlier = ledger.repeated(ask, seen_at=seen_at)
    if earlier is not None:
        return earlier
    counter = ledger.open_counter(ask, stamp=stamp, seen_at=seen_at)
    if counter is None:
        return Attempt("stale", seen_at)
    if counter.counts_members and ask.user_id is not None:
        _count_for_member(ask, counter, seen_at=seen_at)

    free = counter.allowance_left
    more = 0 if free is None else max(ask.units - free, 0)
    if not more:
        return ledger.write(ask, counter, seen_at=seen_at, credited=0, billed=0, cost=0)
    if not counter.asks_first:
        if counter.paid_left is not None and more > counter.paid_left:
            raise NotEnough(ledger.numbers("exhausted", counter, seen_at=seen_at))
        cost = more * (counter.unit_amount or 0)
        return ledger.write(ask, counter, seen_at=seen_at, credited=0, billed=more, cost=cost)
    return _draw_beyond(ask, counter, more, seen_at=seen_at)


def _draw_beyond(ask: Ask, counter: UsageCounter, units: int, *, seen_at: datetime) -> Attempt:
    found = beyond(ask, counter, units, seen_at=seen_at)
    attempt = ledger.write(
        ask, counter, seen_at=seen_at, credited=found.credited, billed=found.billed, cost=found.cost
    )
    take_credits(ask, found.credited, seen_at=seen_at, record_id=attempt.record_id)
    if found.credited == found.credits_left:
        counter.asks_first = terms.must_ask(found.rights, ask.feature, paid_limit=counter.paid_limit)
        counter.save(update_fields=["asks_first"])
    return attempt


@dataclass(frozen=True, slots=True)
class Beyond:
    """Where units beyond the allowance come from: so many from credits, so many paid at `cost` minor units."""

    rights: Entitlements
    credits_left: int
    credited: int
    billed: int
    cost: int


def beyond(ask: Ask, counter: UsageCounter, units: int, *, seen_at: datetime) -> Beyond:
    """Look where `units` beyond the allowance may come from; what is forgiven is given. Raises NotEnough."""
    account = Account.objects.get(pk=ask.account_id)
    rights = entitlements.of(account, now=seen_at)
    allowance = rights.allowance(ask.feature)
    if forgiving.is_possible(account, allowance):
        assert allowance is not None
        forgiving.give(account, allowance, counter=counter, now=seen_at)

    credits_left = credits.left(account, ask.feature, now=seen_at)
    credited = min(units, credits_left)
    billed = units - credited
    cost = charge(ask, rights, counter, billed, seen_at=seen_at) if billed else 0
    return Beyond(rights, credits_left, credited, billed, cost)


def take_credits(ask: Ask, units: int, *, seen_at: datetime, **owner: int | None) -> None:
    """Draw the credits that `beyond` saw, for the act or the reservation that `owner` names."""
    if not units:
        return
    taken = credits.take(account=ask.account_id, feature=ask.feature, units=units, now=seen_at, **owner)
    if taken != units:
        raise IntegrityError("Credits went elsewhere between looking and drawing.")


def charge(ask: Ask, rights: Entitlements, counter: UsageCounter, billed: int, *, seen_at: datetime) -> int:
    """What the units to be paid cost, in minor units, when the budget allows them; what all features spend in one
    budget is looked at one act at a time."""
    counters.queue_for_money(ask.account_id)
    price = spending.prices(rights).get(ask.feature)
    counter.paid_limit = spending.paid_limit(rights, ask.feature, counter=counter)
    if price is None or (counter.paid_left is not None and billed > counter.paid_left):
        raise NotEnough(ledger.numbers("exhausted", counter, seen_at=seen_at))
    counter.save(update_fields=["paid_limit"])
    before = spending.units_paid(rights, ask.feature)
    return price.charge(before + billed) - price.charge(before)


def _count_for_member(ask: Ask, counter: UsageCounter, *, seen_at: datetime) -> None:
    """Count the act for who did it, too."""
    member = check_member(ask, counter, seen_at=seen_at)
    MemberCounter.objects.filter(pk=member.pk).update(used=F("used") + ask.units)


def check_member(ask: Ask, counter: UsageCounter, *, seen_at: datetime) -> MemberCounter:
    """Whether the member's budget allows the act, beside what the member holds; raises NotEnough.

    What the member used before the first budget is in the ledger.
    """
    assert ask.user_id is not None
    known: dict[str, Any] = {
        "account_id": ask.account_id,
        "user_id": ask.user_id,
        "feature": ask.feature,
        "period_start": counter.period_start,
    }
    member = MemberCounter.objects.filter(**known).first()
    if member is None:
        used = UsageRecord.objects.filter(**known).aggregate(units=Sum("units"))["units"] or 0
        member = MemberCounter.objects.create(**known, used=used)
    budget = MemberBudget.objects.filter(
        account_id=ask.account_id, user_id=ask.user_id, feature=ask.feature
    ).first()
    held = holding.held_by(
        ask.user_id,
        account_id=ask.account_id,
        feature=ask.feature,
        period_start=counter.period_start,
        now=seen_at,
    )
    if budget is not None and member.used + held + ask.units > budget.units:
        raise NotEnough(
            Attempt(
                "exhausted",
                seen_at,
                used=member.used,
                reserved=held,
                limit=budget.units,
                period_start=counter.period_start,
                period_end=counter.period_end,
                reason="member_budget_reached",
            )
        )
    return member
