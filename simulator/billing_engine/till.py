"""What a checkout session comes to: what is due today, with its discount and tax."""

from typing import TYPE_CHECKING

from simulator.billing_engine import basket, money, taxing
from simulator.resources import prices
from simulator.shapes import Obj

if TYPE_CHECKING:
    from simulator.core import Simulator


def total_up(sim: "Simulator", session: Obj) -> None:
    """Sums the session: what is due today, with its discount."""
    bought = session["_"]["line_items"]
    if session["mode"] == "setup":
        session |= {"amount_subtotal": None, "amount_total": None, "total_details": None}
        return
    data = session["_"]["subscription_data"]
    is_trial = session["mode"] == "subscription" and bool(data["trial_days"] or data["trial_end"])
    parts = [
        0 if is_trial and item["price"] in basket.recurring(sim, bought) else item["amount_subtotal"]
        for item in bought
    ]
    taken = [0] * len(bought)
    coupon = _coupon_of(sim, session)
    if coupon is not None:
        if coupon["percent_off"] is not None:
            taken = [money.share(part, round(coupon["percent_off"] * 100), 10_000) for part in parts]
        else:
            taken = money.spread(min(coupon["amount_off"], sum(parts)), parts)
    for item, part, off in zip(bought, parts, taken, strict=True):
        item["amount_discount"] = off
        item["amount_total"] = item["amount_subtotal"] - off
        item["amount_tax"] = _tax_on(sim, session, item, item["amount_total"])
        item["amount_total"] += item["amount_tax"]
        item["_"] |= {"today": part - off, "tax": _tax_on(sim, session, item, part - off)}
    tax = sum(item["_"]["tax"] for item in bought)
    session |= {
        "amount_subtotal": sum(parts),
        "amount_total": sum(parts) - sum(taken) + tax,
        "total_details": {"amount_discount": sum(taken), "amount_shipping": 0, "amount_tax": tax},
    }


def _tax_on(sim: "Simulator", session: Obj, item: Obj, amount: int) -> int:
    customer = sim.store.get("customer", session["customer"]) or {}
    if not session["automatic_tax"]["enabled"]:
        rates = item["_"]["tax_rates"] or session["_"]["subscription_data"]["default_tax_rates"]
        return taxing.added(sim, amount, rates, customer.get("tax_exempt"))
    price = prices.need(sim, item["price"])
    return taxing.automatic(sim, amount, price, customer.get("tax_exempt"))


def _coupon_of(sim: "Simulator", session: Obj) -> Obj | None:
    """The coupon that holds for the session: given at creation, or typed in as a promotion code."""
    for discount in session["discounts"] or []:
        code = sim.store.get("promotion_code", discount["promotion_code"])
        return sim.store.get("coupon", code["promotion"]["coupon"] if code else discount["coupon"])
    return None
