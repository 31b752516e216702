"""Looking for thresholds that were reached: what is new in the ledger names the windows, their counters say how far.

Counting itself knows nothing of this and waits for nothing. Looking twice, late or in two workers at once finds and
tells the same: a crossing is a row, unique for its threshold, window and limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max, Q

from accounts.models import Account
from billing import clock
from usage.alerts import choosing, sums, telling
from usage.alerts.choosing import Wishes
from usage.models import Crossing, LedgerMark, UsageCounter, UsageRecord

log = structlog.get_logger(__name__)

MARK = "crossings"
# Longer than any transaction lives: the database ends one that takes longer.
LATE_COMMIT = timedelta(seconds=60)
# On the first look ever, usage older than this many acts is history.
FIRST_LOOK = 100_000
RECORDS_AT_ONCE = 50_000
COUNTERS_AT_ONCE = 200
RUN_SECONDS = 45

_Window = tuple[object, str, datetime]


def look(*, now: datetime) -> int:
    """Look through what the ledger has anew; answers how many windows were looked at. `now` is wall time."""
    started = time.monotonic()
    mark, is_new = LedgerMark.objects.get_or_create(
        name=MARK, defaults={"done": _begin(), "marked": 0, "marked_at": now}
    )
    newest = UsageRecord.objects.aggregate(newest=Max("id"))["newest"] or 0
    seen: set[_Window] = set()
    reached = mark.done
    while reached < newest and time.monotonic() - started < RUN_SECONDS:
        upto = min(reached + RECORDS_AT_ONCE, newest)
        seen |= _see(_used_in(reached, upto) - seen, now=now)
        reached = upto
    _leave_behind(mark, reached, is_new=is_new, now=now)
    return len(seen)


def see(counters: Iterable[UsageCounter], *, now: datetime) -> None:
    """Record and tell whatever thresholds these windows have reached. `now` is wall time."""
    counters = list(counters)
    wishes = choosing.of_many(counter.account_id for counter in counters)
    known = _known(counters)
    for counter in counters:
        wish = wishes.get(counter.account_id, Wishes())
        try:
            _see_quota(counter, wish, known.get(_name(counter), set()), now=now)
        except Exception:  # one account's trouble must not keep the others from their warnings
            log.exception("crossing_not_told", account=str(counter.account_id), feature=counter.feature)
    paying = {counter.account_id: counter.account for counter in counters if counter.billed}
    for account_id, account in paying.items():
        try:
            sums.see(account, wishes.get(account_id, Wishes()), now=clock.at(account, now=now))
        except Exception:
            log.exception("spending_not_told", account=str(account_id))


def _begin() -> int:
    newest = UsageRecord.objects.aggregate(newest=Max("id"))["newest"] or 0
    return max(newest - FIRST_LOOK, 0)


def _used_in(after: int, upto: int) -> set[_Window]:
    records = UsageRecord.objects.filter(id__gt=after, id__lte=upto)
    return set(records.values_list("account_id", "feature", "period_start").distinct().order_by())


def _see(names: set[_Window], *, now: datetime) -> set[_Window]:
    listed = list(names)
    for start in range(0, len(listed), COUNTERS_AT_ONCE):
        wanted = Q(pk__in=[])
        for account_id, feature, period_start in listed[start : start + COUNTERS_AT_ONCE]:
            wanted |= Q(account=account_id, feature=feature, period_start=period_start)
        see(UsageCounter.objects.filter(wanted).select_related("account"), now=now)
    return names


def _leave_behind(mark: LedgerMark, reached: int, *, is_new: bool, now: datetime) -> None:
    """What was new a while ago is complete by now; what is new now is looked at once more."""
    if is_new or now - mark.marked_at >= LATE_COMMIT:
        LedgerMark.objects.filter(pk=mark.pk, done=mark.done).update(
            done=max(mark.done, mark.marked), marked=reached, marked_at=now
        )


def _known(counters: list[UsageCounter]) -> dict[tuple[object, ...], set[int]]:
    """Thresholds recorded before, by window and limit."""
    rows = Crossing.objects.filter(
        kind=Crossing.Kind.QUOTA,
        account__in={counter.account_id for counter in counters},
        period_start__in={counter.period_start for counter in counters},
    )
    found: dict[tuple[object, ...], set[int]] = {}
    for *name, threshold in rows.values_list(
        "account_id", "feature", "period_start", "limit_units", "threshold"
    ):
        found.setdefault(tuple(name), set()).add(threshold)
    return found


def _name(counter: UsageCounter) -> tuple[object, ...]:
    return (counter.account_id, counter.feature, counter.period_start, counter.limit_units)


def _see_quota(counter: UsageCounter, wish: Wishes, known: set[int], *, now: datetime) -> None:
    """Of several reached at once the highest is told, and all are recorded. Used up is recorded in any case: it is
    what comes back.
    """
    limit = counter.limit_units
    if not limit or counter.from_allowance <= 0:
        return
    if counter.billed:
        with transaction.atomic():
            telling.paid_use(counter, now=clock.at(counter.account, now=now))
    percent = min(counter.from_allowance * 100 // limit, 100)
    new = sorted(threshold for threshold in {*wish.percents, 100} - known if threshold <= percent)
    if not new:
        return
    at = clock.at(counter.account, now=now)
    highest = max((threshold for threshold in new if threshold in wish.percents), default=0)
    is_news = highest > max(known & set(wish.percents), default=0) and at < counter.period_end
    with transaction.atomic():
        recorded = [
            _record(counter, threshold, is_told=is_news and threshold == highest, at=at) for threshold in new
        ]
        if is_news and (highest, True) in zip(new, recorded, strict=True):
            telling.quota(counter, threshold=highest, percent=percent, now=at)


def _record(counter: UsageCounter, threshold: int, *, is_told: bool, at: datetime) -> bool:
    """Whether it was recorded now; of two who record it at once, the second waits and learns that it was."""
    assert counter.limit_units is not None
    _, is_new = Crossing.objects.get_or_create(
        kind=Crossing.Kind.QUOTA,
        account=Account(pk=counter.account_id),
        feature=counter.feature,
        period_start=counter.period_start,
        limit_units=counter.limit_units,
        threshold=threshold,
        defaults={"period_end": counter.period_end, "crossed_at": at, "is_told": is_told},
    )
    return is_new
