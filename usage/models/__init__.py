"""WHAT THEY USED, as rows: the ledger, the counter of each window, the daily roll-up, the outbox to Stripe."""

from usage.models.books import UsageCounter, UsageDay, UsageRecord
from usage.models.meters import MeterEvent

__all__ = ["MeterEvent", "UsageCounter", "UsageDay", "UsageRecord"]
