"""WHAT THEY USED, as rows: the ledger, the counter of each window, the daily roll-up, the outbox to Stripe."""

from usage.models.alerts import AlertWish, Crossing, LedgerMark
from usage.models.books import MemberCounter, Repair, UsageCounter, UsageDay, UsageRecord
from usage.models.budgets import Budget, MemberBudget
from usage.models.currencies import CurrencyBefore
from usage.models.meters import MeterDelivery, MeterEvent
from usage.models.reservations import Reservation
from usage.models.standing import Gauge, GaugeClaim, Slot

__all__ = [
    "AlertWish",
    "Budget",
    "Crossing",
    "CurrencyBefore",
    "Gauge",
    "GaugeClaim",
    "LedgerMark",
    "MemberBudget",
    "MemberCounter",
    "MeterDelivery",
    "MeterEvent",
    "Repair",
    "Reservation",
    "Slot",
    "UsageCounter",
    "UsageDay",
    "UsageRecord",
]
