"""What a change midway is worth: credit for time not used, a charge for the time that is left, to the second."""

from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import lines, money, periods, usage
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def credit(sim: "Simulator", subscription: Obj, item: Obj, at: int) -> list[Obj]:
    """For the time from `at` on that was paid for and will not be used; use itself is never given back."""
    price = lines.price_of(sim, item)
    if usage.is_metered(price):
        return []
    amount = -_remaining(sim, subscription, item, price, at)
    what = _counted(sim, price, item["quantity"])
    return [
        _proration(
            sim, subscription, item, price, amount, at, f"Unused time on {what} after {periods.shown(at)}"
        )
    ]


def debit(sim: "Simulator", subscription: Obj, item: Obj, at: int) -> list[Obj]:
    """For the time from `at` to the end of the running period."""
    price = lines.price_of(sim, item)
    if usage.is_metered(price):
        return []
    amount = _remaining(sim, subscription, item, price, at)
    what = _counted(sim, price, item["quantity"])
    text = f"Remaining time on {what} after {periods.shown(at)}"
    return [_proration(sim, subscription, item, price, amount, at, text)]


def unused(sim: "Simulator", subscription: Obj, at: int) -> list[Obj]:
    """Credits for all time not used, as when canceling with `prorate`."""
    return [draft for item in subscription["items"]["data"] for draft in credit(sim, subscription, item, at)]


def keep(sim: "Simulator", subscription: Obj, draft: Obj) -> Obj:
    """Makes a proration a real pending invoice item."""
    sim.save(draft)
    events.emit(sim, "invoiceitem.created", draft)
    return draft


def _remaining(sim: "Simulator", subscription: Obj, item: Obj, price: Obj, at: int) -> int:
    end = item["current_period_end"]
    start = periods.start_of(subscription["billing_cycle_anchor"], price["recurring"], end)
    left = max(0, end - max(at, item["current_period_start"]))
    return money.share(money.cost(price, item["quantity"] or 0), left, end - start)


def _proration(
    sim: "Simulator", subscription: Obj, item: Obj, price: Obj, amount: int, at: int, description: str
) -> Obj:
    now = sim.clock.now(subscription)
    quantity = item["quantity"] or 0
    return new(
        "invoiceitem",
        amount=amount,
        currency=price["currency"],
        customer=subscription["customer"],
        date=now,
        description=description,
        discountable=True,
        discounts=[],
        frozen_fields=[],
        metadata=dict(subscription["metadata"]),
        net_amount=amount,
        parent={
            "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
            "type": "subscription_details",
        },
        period={"start": at, "end": item["current_period_end"]},
        pricing=lines.pricing(price),
        proration=True,
        proration_details={"credited_items": None, "discount_amounts": []},
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=list(item["tax_rates"]),
        test_clock=subscription["test_clock"],
    )


def _counted(sim: "Simulator", price: Obj, quantity: int | None) -> str:
    name = lines.name_of(sim, price)
    return name if quantity in (None, 1) else f"{quantity} × {name}"
