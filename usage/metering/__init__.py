"""Counting what is used: `consume` it, and see the `balances`.

from usage import metering

metering.consume(account=account, feature="ai_generations", idempotency_key=key, now=clock.wall())
"""

from usage.metering.balances import Balance, balance, balances
from usage.metering.consuming import consume
from usage.metering.receipts import Receipt, Source
from usage.metering.refusals import (
    AllowanceExhausted,
    BudgetReached,
    CheckFailed,
    FeatureNotIncluded,
    IdempotencyConflict,
    InvalidKey,
    InvalidUnits,
    MemberBudgetReached,
    Refused,
    UnknownFeature,
)

__all__ = [
    "AllowanceExhausted",
    "Balance",
    "BudgetReached",
    "CheckFailed",
    "FeatureNotIncluded",
    "IdempotencyConflict",
    "InvalidKey",
    "InvalidUnits",
    "MemberBudgetReached",
    "Receipt",
    "Refused",
    "Source",
    "UnknownFeature",
    "balance",
    "balances",
    "consume",
]
