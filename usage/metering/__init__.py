"""Counting what is used: `consume` it, or `hold` it for work under way; see the `balances`, `estimate` the next act.

from usage import metering

metering.consume(account=account, feature="ai_generations", idempotency_key=key, now=clock.wall())
"""

from usage.metering.balances import Balance, balance, balances
from usage.metering.batching import BatchRefused, InvalidBatch, Line, consume_batch
from usage.metering.consuming import consume
from usage.metering.estimating import Estimate, estimate
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
from usage.metering.reserving import (
    Hold,
    InvalidTime,
    ReservationOver,
    UnknownReservation,
    find,
    release,
    reserve,
)
from usage.metering.settling import MoreThanHeld, settle
from usage.metering.working import Held, WorkRepeated, hold

__all__ = [
    "AllowanceExhausted",
    "Balance",
    "BatchRefused",
    "BudgetReached",
    "CheckFailed",
    "Estimate",
    "FeatureNotIncluded",
    "Held",
    "Hold",
    "IdempotencyConflict",
    "InvalidBatch",
    "InvalidKey",
    "InvalidTime",
    "InvalidUnits",
    "Line",
    "MemberBudgetReached",
    "MoreThanHeld",
    "Receipt",
    "Refused",
    "ReservationOver",
    "Source",
    "UnknownFeature",
    "UnknownReservation",
    "WorkRepeated",
    "balance",
    "balances",
    "consume",
    "consume_batch",
    "estimate",
    "find",
    "hold",
    "release",
    "reserve",
    "settle",
]
