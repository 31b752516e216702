"""Whether the books agree: each counter with the ledger, each day of the roll-up with the ledger; and how to mend them.

The ledger is what happened; everything else is a sum of it and can be made again. A repair is written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import TruncDate

from accounts.models import Account, ApiKey, User
from usage.metering import counters
from usage.models import MemberCounter, Repair, Reservation, UsageCounter, UsageDay, UsageRecord

# What a counter sums up of its window's acts.
_PARTS = ("used", "credited", "billed")
# What it keeps for work under way: the sum of the reservations that are held.
_HELD = ("reserved", "paid_reserved")
_Actor = tuple[str, date, int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A number that is not the sum of the ledger's: of the window that began at `period_start`, or of `day`."""

    account_id: object
    feature: str
    # "used", "credited", "billed", "reserved" or "paid_reserved" of a window, "member 7" in it, "counter" where it has
    # none; "units" of a day.
    what: str
    says: int
    ledger: int
    period_start: datetime | None = None
    day: date | None = None

    def __str__(self) -> str:
        place = f"the window from {self.period_start:%Y-%m-%d %H:%M}" if self.period_start else f"{self.day}"
        named = f"{self.account_id} {self.feature}, {self.what} of {place}"
        return f"{named}: {self.says:,}, the ledger has {self.ledger:,}"


def differences(account: Account) -> list[Difference]:
    """Everything that does not agree for `account`; an empty list is the good answer. Reads only.

    Acts that are being counted meanwhile may show up; ask again, or look under the account's queue as `repair` does.
    """
    return [*_of_counters(account), *_of_holds(account), *_of_members(account), *_of_days(account)]


def repair(account: Account, *, reason: str, now: datetime) -> list[Repair]:
    """Put right what `differences` finds, while nobody counts, and write down each number that was changed.

    A window of the ledger without a counter cannot be put right here; it stays in `differences`. Raises ValueError
    without a reason.
    """
    if not reason.strip():
        raise ValueError("A repair needs a reason: it is written beside what was changed.")
    with transaction.atomic():
        for feature in sorted(_features(account)):
            counters.queue(account.pk, feature)
        found = [difference for difference in differences(account) if difference.what != "counter"]
        for difference in found:
            _mend(account, difference)
        return Repair.objects.bulk_create(
            Repair(
                account=account,
                what=difference.what,
                feature=difference.feature,
                period_start=difference.period_start,
                day=difference.day,
                before=difference.says,
                after=difference.ledger,
                reason=reason.strip()[:200],
                at=now,
            )
            for difference in found
        )


def _of_counters(account: Account) -> Iterator[Difference]:
    sums: dict[tuple[str, datetime], Any] = {
        (row["feature"], row["period_start"]): row
        for row in UsageRecord.objects.filter(account=account)
        .values("feature", "period_start")
        .annotate(ledger_used=Sum("units"), ledger_credited=Sum("credited"), ledger_billed=Sum("billed"))
        .order_by()
    }
    for counter in UsageCounter.objects.filter(account=account).order_by("feature", "period_start"):
        found = sums.pop((counter.feature, counter.period_start), {})
        for part in _PARTS:
            ledger = found.get(f"ledger_{part}", 0) + (counter.carried if part == "used" else 0)
            if getattr(counter, part) != ledger:
                yield Difference(
                    account.pk,
                    counter.feature,
                    part,
                    says=getattr(counter, part),
                    ledger=ledger,
                    period_start=counter.period_start,
                )
    # Acts of a window that has no counter: nothing can be put right, but somebody must know.
    for (feature, period_start), found in sums.items():
        yield Difference(
            account.pk, feature, "counter", says=0, ledger=found["ledger_used"], period_start=period_start
        )


def _of_holds(account: Account) -> Iterator[Difference]:
    """Units that counters keep for work under way, against the reservations of that work."""
    for counter in UsageCounter.objects.filter(account=account).order_by("feature", "period_start"):
        for part, held in zip(_HELD, _held(account, counter.feature, counter.period_start), strict=True):
            if getattr(counter, part) != held:
                yield Difference(
                    account.pk,
                    counter.feature,
                    part,
                    says=getattr(counter, part),
                    ledger=held,
                    period_start=counter.period_start,
                )


def _held(account: Account, feature: str, period_start: datetime) -> tuple[int, int]:
    """Of the allowance, and of what may be paid; overdue ones too, until somebody puts them back."""
    held = Reservation.objects.filter(
        account=account, feature=feature, period_start=period_start, state=Reservation.State.HELD
    )
    sums = held.aggregate(free=Sum(F("units") - F("credited") - F("billed")), paid=Sum("billed"))
    return sums["free"] or 0, sums["paid"] or 0


def _of_members(account: Account) -> Iterator[Difference]:
    for member in MemberCounter.objects.filter(account=account):
        records = UsageRecord.objects.filter(
            account=account, feature=member.feature, period_start=member.period_start, user=member.user_id
        )
        ledger = records.aggregate(units=Sum("units"))["units"] or 0
        if member.used != ledger:
            yield Difference(
                account.pk,
                member.feature,
                f"member {member.user_id}",
                says=member.used,
                ledger=ledger,
                period_start=member.period_start,
            )


def _of_days(account: Account) -> Iterator[Difference]:
    """By day and actor. Who is gone from the ledger's references is nobody in the roll-up too."""
    there: Counter[_Actor] = Counter()
    for actor, units in _by_day(account):
        there[actor] += units
    users = set(User.objects.values_list("pk", flat=True)) if there else set()
    keys = set(ApiKey.objects.values_list("pk", flat=True)) if there else set()
    said: Counter[_Actor] = Counter()
    for day in UsageDay.objects.filter(account=account):
        user_id = day.user_id if day.user_id in users else 0
        said[day.feature, day.day, user_id, day.api_key_id if day.api_key_id in keys else 0] += day.units
    for actor in sorted(there.keys() | said.keys()):
        if there[actor] != said[actor]:
            feature, on, *_ = actor
            yield Difference(account.pk, feature, "units", says=said[actor], ledger=there[actor], day=on)


def _by_day(account: Account) -> list[tuple[_Actor, int]]:
    rows = (
        UsageRecord.objects.filter(account=account)
        .annotate(on=TruncDate("recorded_at", tzinfo=UTC))
        .values_list("feature", "on", "user_id", "api_key_id")
        .annotate(total=Sum("units"))
        .order_by()
    )
    return [
        ((feature, on, user_id or 0, api_key_id or 0), total)
        for feature, on, user_id, api_key_id, total in rows
    ]


def _mend(account: Account, difference: Difference) -> None:
    window = {"account": account, "feature": difference.feature, "period_start": difference.period_start}
    if difference.day is not None:
        _roll_up_again(account, difference.feature, difference.day)
    elif difference.what in _PARTS:
        sums = UsageRecord.objects.filter(**window).aggregate(*(Sum(part) for part in ("units", *_PARTS[1:])))
        # All at once: one of them alone could contradict the others, which the database would not take.
        UsageCounter.objects.filter(**window).update(
            used=F("carried") + (sums["units__sum"] or 0),
            credited=sums["credited__sum"] or 0,
            billed=sums["billed__sum"] or 0,
        )
    elif difference.what in _HELD:
        assert difference.period_start is not None
        free, paid = _held(account, difference.feature, difference.period_start)
        UsageCounter.objects.filter(**window).update(reserved=free, paid_reserved=paid)
    else:
        # Added up from the ledger when the member acts again.
        MemberCounter.objects.filter(**window).delete()


def _roll_up_again(account: Account, feature: str, on: date) -> None:
    UsageDay.objects.filter(account=account, feature=feature, day=on).delete()
    UsageDay.objects.bulk_create(
        UsageDay(
            account=account, feature=feature, day=on, user_id=user_id, api_key_id=api_key_id, units=units
        )
        for (of, day, user_id, api_key_id), units in _by_day(account)
        if (of, day) == (feature, on)
    )


def _features(account: Account) -> set[str]:
    return {
        *UsageCounter.objects.filter(account=account).values_list("feature", flat=True),
        *UsageRecord.objects.filter(account=account).values_list("feature", flat=True).distinct(),
        *UsageDay.objects.filter(account=account).values_list("feature", flat=True).distinct(),
    }
