"""The phases of a schedule: read from parameters, one after the other, with every key real ones have."""

from typing import TYPE_CHECKING, Any

from simulator.billing_engine import asking, items, periods, taxing
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
                    one.tax_rates or [],
                )
                for one in wanted
            ],
            (given.text("currency") or first["currency"]).lower(),
        )
        phase |= {
            "add_invoice_items": _extras(sim, given, phase["currency"]),
            "automatic_tax": tax(given.inner("automatic_tax").flag("enabled"))
            if "automatic_tax" in given
            else None,
            "billing_cycle_anchor": given.text("billing_cycle_anchor"),
            "default_payment_method": given.text("default_payment_method"),
            "default_tax_rates": taxing.asked_for(sim, given, "default_tax_rates"),
            "collection_method": given.text("collection_method"),
            "description": given.text("description"),
            "metadata": given.metadata(),
            "proration_behavior": given.choice("proration_behavior", PRORATIONS, "create_prorations"),
            "trial_end": phase["end_date"] if given.flag("trial") else given.integer("trial_end"),
            "discounts": [
                {name: one.text(name) for name in ("coupon", "discount", "promotion_code")}
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


def _extras(sim: "Simulator", given: Params, currency: str) -> list[Obj]:
    """A phase's `add_invoice_items`: charged once, as the phase begins."""
    from simulator.resources import prices

    found = []
    for one in given.each("add_invoice_items"):
        price = prices.need(sim, one.need("price"), param=one.name("price"), status=400)
        asking.whole(price, currency)
        found.append(
            {
                "discountable": one.flag("discountable", True),
                "discounts": [],
                "metadata": one.metadata(),
                "period": {
                    "end": {"timestamp": None, "type": "phase_end"},
                    "start": {"timestamp": None, "type": "phase_start"},
                },
                "price": price["id"],
                "quantity": one.integer("quantity", 1),
                "tax_rates": taxing.asked_for(sim, one, "tax_rates"),
            }
        )
    return found


def tax(is_on: bool) -> Obj:
    """The `automatic_tax` of a phase."""
    return {
        "disabled_reason": None,
        "enabled": is_on,
        "liability": {"type": "self"} if is_on else None,
    }


def settings(schedule: Obj, phase: Obj) -> dict[str, Any]:
    """What a phase says about everything but its items, as the parameters of a subscription; what it leaves
    open is as the schedule's `default_settings` say.
    """
    otherwise = schedule["default_settings"]
    days = (phase["invoice_settings"] or otherwise["invoice_settings"] or {}).get("days_until_due")
    automatic = phase["automatic_tax"] or otherwise.get("automatic_tax")
    said: dict[str, Any] = {
        "collection_method": phase["collection_method"] or otherwise["collection_method"],
        "days_until_due": days,
        "default_payment_method": phase["default_payment_method"] or otherwise["default_payment_method"],
        "description": phase["description"] or otherwise["description"],
        "metadata": dict(phase["metadata"]) or None,
        "automatic_tax": {"enabled": "true" if automatic["enabled"] else "false"} if automatic else None,
        "default_tax_rates": [rate["id"] for rate in phase["default_tax_rates"]] or None,
    }
    found = {name: value for name, value in said.items() if value is not None}
    return found | ({"days_until_due": str(days)} if days is not None else {})


def extras(phase: Obj) -> list[dict[str, Any]]:
    """What a phase adds to its first invoice, as `add_invoice_items[]`."""
    return [
        {
            "price": one["price"],
            "quantity": str(one["quantity"]),
            "metadata": one["metadata"],
            "discountable": "true" if one["discountable"] else "false",
            "tax_rates": [rate["id"] for rate in one["tax_rates"]],
        }
        for one in phase["add_invoice_items"]
    ]


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


def entry(
    price: str, quantity: int | None, metadata: dict[str, str], tax_rates: list[Obj] | None = None
) -> Obj:
    """One item of a phase; price and plan are the same id."""
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": metadata,
        "plan": price,
        "price": price,
        "quantity": quantity,
        "tax_rates": tax_rates or [],
    }
