"""How much of a meter a customer used in a period:
docs.stripe.com/billing/subscriptions/usage-based/meters.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def of_price(sim: "Simulator", price: Obj, customer: str, start: int, end: int) -> Decimal:
    """What a metered price bills for `[start, end)`."""
    meter = sim.store.get("billing.meter", price["recurring"]["meter"])
    return total(sim, meter, customer, start, end) if meter is not None else Decimal(0)


def total(sim: "Simulator", meter: Obj, customer: str, start: int, end: int) -> Decimal:
    """The meter's sum, count or last value (the latest by its own time) for a customer in `[start, end)`."""
    uses = [
        use
        for use in sim.store.find("_meter_use", "customer", customer)
        if use["event_name"] == meter["event_name"] and start <= use["timestamp"] < end
    ]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(uses))
    if formula == "last":
        # Of two at the same second the one that came later counts.
        latest = max(enumerate(uses), key=lambda one: (one[1]["timestamp"], one[0]), default=None)
        return Decimal(latest[1]["value"]) if latest else Decimal(0)
    return sum((Decimal(use["value"]) for use in uses), Decimal(0))


def is_metered(price: Obj) -> bool:
    """Is this price billed after the fact, by a meter?"""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")
