"""What to say when units are refused: how much was used, why no more, when it comes back, and what helps."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from accounts.models import Account
from billing import catalog
from usage.metering import windows
from usage.metering.attempts import Attempt
from usage.metering.refusals import AllowanceExhausted, BudgetReached, MemberBudgetReached
from usage.models import Budget, UsageCounter
from usage.periods import Period


def exhausted(attempt: Attempt, *, account: Account, feature: str, units: int) -> AllowanceExhausted:
    """The refusal of an attempt whose outcome is `exhausted`."""
    assert attempt.limit is not None
    assert attempt.period_start is not None
    assert attempt.period_end is not None
    back_on = _day(attempt.period_end, account)
    asked = f"{units:,} asked for, {max(attempt.limit - attempt.used - attempt.reserved, 0):,} left"
    taken = _taken(attempt)
    if attempt.reason == "member_budget_reached":
        return MemberBudgetReached(
            f"{asked} of the {attempt.limit:,} you may use until {back_on}{taken}. An owner or admin of "
            f"{account.name} can raise your budget.",
            **_numbers(attempt, feature),
            reason="member_budget_reached",
            is_more_sold=False,
            helps=("ask_an_admin", "wait"),
        )
    if _is_held_by_budget(attempt, account, feature):
        return BudgetReached(
            f"{asked} within the budget that {account.name} has set for paid use{taken}. Raise the budget, or go on "
            f"when the next window begins on {back_on}.",
            **_numbers(attempt, feature),
            reason="budget_reached",
            is_more_sold=False,
            helps=("raise_budget", *_credits(feature), "wait"),
        )
    period = Period(attempt.period_start, attempt.period_end)
    is_more_sold = windows.is_more_sold(feature, limit=attempt.limit, period=period)
    return AllowanceExhausted(
        f"{asked} of {attempt.limit:,}{taken}. The allowance comes back on {back_on}"
        + ("; a bigger plan has more at once." if is_more_sold else "."),
        **_numbers(attempt, feature),
        reason="allowance_exhausted",
        is_more_sold=is_more_sold,
        helps=(*(("upgrade",) if is_more_sold else ()), *_credits(feature), "wait"),
    )


def _taken(attempt: Attempt) -> str:
    """Where the rest is, when part of it is only held: what was set aside for work may come back unused."""
    if not attempt.reserved:
        return ""
    return f" ({attempt.used:,} used, {attempt.reserved:,} held by work that is going on)"


def _numbers(attempt: Attempt, feature: str) -> dict[str, Any]:
    return {
        "feature": feature,
        "used": attempt.used,
        "reserved": attempt.reserved,
        "limit": attempt.limit,
        "comes_back_at": attempt.period_end,
        "upgrade_url": windows.upgrade_url(),
    }


def _is_held_by_budget(attempt: Attempt, account: Account, feature: str) -> bool:
    """Without a budget what is paid by the unit has no limit, so a limit that was reached is the budget's."""
    assert attempt.period_start is not None
    return (
        UsageCounter.objects.filter(
            account=account, feature=feature, period_start=attempt.period_start, is_metered=True
        ).exists()
        and Budget.objects.filter(account=account).exists()
    )


def _credits(feature: str) -> tuple[str, ...]:
    return ("buy_credits",) if any(pack.feature == feature for pack in catalog.current().packs) else ()


def _day(moment: datetime, account: Account) -> str:
    return f"{moment.astimezone(ZoneInfo(account.timezone)):%-d %B %Y}"
