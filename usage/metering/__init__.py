"""Counting what is used: `consume` it, and see the `balances`.

from usage import metering

metering.consume(account=account, feature="ai_generations", idempotency_key=key, now=clock.wall())
"""

from usage.metering.balances import Balance, balance, balances
from usage.metering.consuming import Receipt, consume
from usage.metering.refusals import (
    AllowanceExhausted,
    CheckFailed,
    FeatureNotIncluded,
    IdempotencyConflict,
    InvalidKey,
    InvalidUnits,
    Refused,
    UnknownFeature,
)

__all__ = [
    "AllowanceExhausted",
    "Balance",
    "CheckFailed",
    "FeatureNotIncluded",
    "IdempotencyConflict",
    "InvalidKey",
    "InvalidUnits",
    "Receipt",
    "Refused",
    "UnknownFeature",
    "balance",
    "balances",
    "consume",
]
