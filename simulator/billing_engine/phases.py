"""The phases of a schedule: read from parameters, one after the other, with every key real ones have."""

from typing import TYPE_CHECKING

from simulator.billing_engine import items, periods
from simulator.billing_engine.updating import PRORATIONS
from simulator.errors import invalid
from simulator.params import Params
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def read(sim: "Simulator", params: Params, start: int) -> list[Obj]:
    """The `phases[]` of a request, each from the end of the one before; `duration` or `end_date` ends it."""
    found: list[Obj] = []
    for given in params.each("phases"):
        begins = found[-1]["end_date"] if found else start
        wanted = items.read(sim, given)
        if not wanted:
            raise invalid("Each phase needs items.", param=given.name("items"), code="parameter_missing")
        first = wanted[0].price or {}
        phase = frame(
            begins,
            _end(given, begins, first),
            [
                entry(
                    (one.price or {})["id"],
                    one.quantity if one.quantity is not None else 1,
                    one.metadata or {},
                )
                for one in wanted
            ],
            first["currency"],
        )
        phase |= {
            "billing_cycle_anchor": given.text("billing_cycle_anchor"),
            "collection_method": given.text("collection_method"),
            "description": given.text("description"),
            "metadata": given.metadata(),
            "proration_behavior": given.choice("proration_behavior", PRORATIONS, "create_prorations"),
            "trial_end": phase["end_date"] if given.flag("trial") else given.integer("trial_end"),
            "discounts": [
                {"coupon": one.text("coupon"), "discount": None, "promotion_code": one.text("promotion_code")}
                for one in given.each("discounts")
            ],
        }
        days = given.inner("invoice_settings").integer("days_until_due")
        if days is not None:
            nothing = dict.fromkeys(("account_tax_ids", "custom_fields", "description", "footer", "issuer"))
            phase["invoice_settings"] = {**nothing, "days_until_due": days}
        found.append(phase)
    if not found:
        raise invalid("You must pass at least one phase.", param="phases", code="parameter_missing")
    return found


def _end(given: Params, begins: int, price: Obj) -> int:
    ends = given.integer("end_date")
    if ends is None:
        lasts = given.inner("duration")
        recurring = price["recurring"]
        interval = lasts.text("interval") or recurring["interval"]
        count = lasts.integer("interval_count", 1 if lasts.values else recurring["interval_count"]) or 1
        ends = periods.after(begins, interval, count)
    if ends <= begins:
        raise invalid("A phase must end after it starts.", param=given.name("end_date"))
    return ends


def frame(start: int, end: int, found: list[Obj], currency: str) -> Obj:
    """A phase `[start, end)` of the items `found`, with nothing special about it."""
    nothing = dict.fromkeys(
        (
            "application_fee_percent",
            "automatic_tax",
            "billing_cycle_anchor",
            "billing_thresholds",
            "collection_method",
            "default_payment_method",
            "description",
            "invoice_settings",
            "on_behalf_of",
            "transfer_data",
            "trial_end",
        )
    )
    return {
        **nothing,
        "add_invoice_items": [],
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": found,
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
    }


def entry(price: str, quantity: int | None, metadata: dict[str, str]) -> Obj:
    """One item of a phase; price and plan are the same id."""
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": metadata,
        "plan": price,
        "price": price,
        "quantity": quantity,
        "tax_rates": [],
    }
