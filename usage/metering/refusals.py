"""Why a unit was not counted: each says what happened, in a stable word for machines and a sentence for people."""

from __future__ import annotations

from datetime import datetime


class Refused(Exception):
    """The account may not use these units now. Nothing was counted.

    reason         a stable word (see each subclass)
    used, limit    units in the current window; `limit` is 0 where nothing is granted
    reserved       units held by work that is going on: neither used nor left
    comes_back_at  when the allowance comes back; None when waiting does not help
    upgrade_url    where a plan with more of it can be chosen; "" where none is sold
    is_more_sold   whether another plan gives more of it
    helps          what would: "upgrade", "buy_credits", "raise_budget", "ask_an_admin", "wait", in this order
    """

    def __init__(
        self,
        message: str,
        *,
        feature: str,
        reason: str,
        used: int,
        limit: int,
        comes_back_at: datetime | None,
        upgrade_url: str,
        reserved: int = 0,
        is_more_sold: bool = True,
        helps: tuple[str, ...] = ("upgrade",),
    ) -> None:
        super().__init__(message)
        self.feature = feature
        self.reason = reason
        self.used = used
        self.limit = limit
        self.reserved = reserved
        self.comes_back_at = comes_back_at
        self.upgrade_url = upgrade_url if is_more_sold else ""
        self.is_more_sold = is_more_sold
        self.helps = helps

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used - self.reserved, 0)


class AllowanceExhausted(Refused):
    """Fewer units are left in this window than were asked for. Reason: `allowance_exhausted`."""


class BudgetReached(AllowanceExhausted):
    """The account's own budget for units paid one by one does not allow it. Reason: `budget_reached`."""


class MemberBudgetReached(AllowanceExhausted):
    """The member may not use so much of what the account has: `used` and `limit` are the member's. Reason:
    `member_budget_reached`."""


class FeatureNotIncluded(Refused):
    """None of this is granted, however long one waits.

    Reasons: `not_included` by the plan; `role`, a guest reads only; or why the account has nothing at all, in
    entitlements' word (`suspended`, `dispute_lost`).
    """


class UnknownFeature(Exception):
    """The catalog has nothing countable of this name: a switch or a standing limit is not consumed."""


class InvalidUnits(ValueError):
    """Units are whole numbers from 1 to 1,000,000,000. Nothing was counted."""


class InvalidKey(ValueError):
    """An idempotency key is 1 to 200 characters. Nothing was counted."""


class IdempotencyConflict(Exception):
    """This key has counted something else before: another feature or another number of units."""


class CheckFailed(Exception):
    """It could not be established whether the units may be used, so they may not. Ask again with the same key."""
