"""Coupons at work: which discounts hold for an invoice, how much each takes off which line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from simulator import events
from simulator.billing_engine import money, periods
from simulator.errors import invalid, no_such
from simulator.params import Params
from simulator.shapes import Obj, new

if TYPE_CHECKING:
    from simulator.core import Simulator


def redeem(
    sim: "Simulator",
    *,
    coupon: str | None,
    promotion_code: str | None,
    customer: str | None,
    subscription: str | None = None,
    invoice: str | None = None,
    checkout_session: str | None = None,
) -> Obj:
    """A new discount; counts the redemption and refuses what has run out."""
    code = None
    if promotion_code is not None:
        code = sim.store.get("promotion_code", promotion_code)
        if code is None:
            raise no_such("promotion_code", promotion_code, param="discounts[0][promotion_code]", status=400)
        check_code(sim, code, customer)
        coupon = code["promotion"]["coupon"]
    found = sim.store.get("coupon", coupon)
    if found is None:
        raise no_such("coupon", str(coupon), param="discounts[0][coupon]", status=400)
    if not found["valid"]:
        raise invalid(f"Coupon expired: {coupon}", param="coupon", code="coupon_expired")
    now = sim.clock.now(customer)
    discount = new(
        "discount",
        checkout_session=checkout_session,
        customer=customer,
        end=periods.after(now, "month", found["duration_in_months"])
        if found["duration"] == "repeating"
        else None,
        invoice=invoice,
        promotion_code=code["id"] if code else None,
        source={"coupon": found["id"], "type": "coupon"},
        start=now,
        subscription=subscription,
    )
    for counted in (found, code):
        if counted is not None:
            counted["times_redeemed"] += 1
            if (
                counted["max_redemptions"] is not None
                and counted["times_redeemed"] >= counted["max_redemptions"]
            ):
                counted["valid" if counted["object"] == "coupon" else "active"] = False
            sim.save(counted)
    sim.save(discount)
    events.emit(sim, "customer.discount.created", discount)
    return discount


def check_code(sim: "Simulator", code: Obj, customer: str | None) -> None:
    """Refuses a promotion code that may not be used (any more, or by this customer)."""
    coupon = sim.store.get("coupon", code["promotion"]["coupon"])
    is_over = code["expires_at"] is not None and code["expires_at"] <= sim.clock.now(customer)
    if not code["active"] or is_over or coupon is None or not coupon["valid"]:
        raise invalid(
            "This promotion code is no longer valid.", code="promotion_code_invalid", param="promotion_code"
        )
    if code["customer"] is not None and code["customer"] != customer:
        raise invalid("This promotion code belongs to another customer.", param="promotion_code")
    if code["restrictions"]["first_time_transaction"] and customer:
        paid = [one for one in sim.store.find("invoice", "customer", customer) if one["amount_paid"] > 0]
        if paid:
            raise invalid(
                "This promotion code is only for a customer's first purchase.", param="promotion_code"
            )


def asked_for(
    sim: "Simulator", params: Params, *, customer: str | None, subscription: str | None = None
) -> list[str]:
    """The discounts of a `discounts[]` parameter, redeemed; ids."""
    found = []
    for given in params.each("discounts"):
        if "discount" in given:
            found.append(given.need("discount"))
            continue
        discount = redeem(
            sim,
            coupon=given.text("coupon"),
            promotion_code=given.text("promotion_code"),
            customer=customer,
            subscription=subscription,
        )
        found.append(discount["id"])
    return found


@contextmanager
def supposed(sim: "Simulator", params: Params, *, customer: str) -> Iterator[list[str] | None]:
    """The discounts of a preview's `discounts[]` as long as the block lasts: nothing is redeemed. None when
    the request says nothing about discounts.
    """
    made: list[str] = []
    if "discounts" not in params:
        yield None
        return
    try:
        names = []
        for given in params.each("discounts"):
            if "discount" in given:
                names.append(given.need("discount"))
                continue
            code = sim.store.get("promotion_code", given.text("promotion_code"))
            coupon = sim.store.get("coupon", code["promotion"]["coupon"] if code else given.text("coupon"))
            if coupon is None:
                raise no_such("coupon", str(given.text("coupon")), param=given.name("coupon"), status=400)
            discount = new(
                "discount",
                customer=customer,
                source={"coupon": coupon["id"], "type": "coupon"},
                start=sim.clock.now(customer),
            )
            sim.store.put("discount", discount)
            made.append(discount["id"])
            names.append(discount["id"])
        yield names
    finally:
        for name in made:
            sim.store.remove("discount", name)


def apply(sim: "Simulator", invoice: Obj) -> int:
    """Fills the discount amounts of an invoice's lines; returns what they take off in all."""
    lines = invoice["lines"]["data"]
    for line in lines:
        line["discount_amounts"], line["pretax_credit_amounts"] = [], []
    totals: list[Obj] = []
    for name in holding(sim, invoice):
        discount = sim.store.get("discount", name)
        coupon = sim.store.get("coupon", discount["source"]["coupon"]) if discount else None
        if coupon is None:
            continue
        parts = _parts(coupon, lines)
        for line, part in zip(lines, parts, strict=True):
            if part:
                line["discount_amounts"].append({"amount": part, "discount": name})
                line["pretax_credit_amounts"].append({"amount": part, "discount": name, "type": "discount"})
        totals.append({"amount": sum(parts), "discount": name})
    invoice["total_discount_amounts"] = totals
    invoice["total_pretax_credit_amounts"] = [{**total, "type": "discount"} for total in totals]
    return sum(int(total["amount"]) for total in totals)


def holding(sim: "Simulator", invoice: Obj) -> list[str]:
    """The discounts of an invoice that are not over at its time."""
    now = invoice["created"]
    found = []
    for name in invoice["discounts"]:
        discount = sim.store.get("discount", name)
        if discount is not None and (discount["end"] is None or discount["end"] > now):
            found.append(name)
    return found


def spend(sim: "Simulator", invoice: Obj, subscription: Obj) -> None:
    """After an invoice is final: what was good for once, or has run out, leaves the subscription."""
    now = sim.clock.now(invoice)
    for name in list(subscription["discounts"]):
        discount = sim.store.get("discount", name)
        coupon = sim.store.get("coupon", discount["source"]["coupon"]) if discount else None
        if discount is None or coupon is None:
            continue
        is_used_up = coupon["duration"] == "once" and name in invoice["discounts"] and invoice["subtotal"] > 0
        if is_used_up or (discount["end"] is not None and discount["end"] <= now):
            subscription["discounts"].remove(name)
            sim.save(subscription)
            # One that ran out keeps its end: a draft made after it, and final later, is not to be discounted again.
            discount["end"] = min(discount["end"] or now, now)
            sim.save(discount)
            events.emit(sim, "customer.discount.deleted", discount)


def _parts(coupon: Obj, lines: list[Obj]) -> list[int]:
    products = (coupon.get("_") or {}).get("products")
    left = [
        line["amount"] - sum(part["amount"] for part in line["discount_amounts"])
        if line["discountable"] and (not products or line["pricing"]["price_details"]["product"] in products)
        else 0
        for line in lines
    ]
    if coupon["percent_off"] is not None:
        return [money.share(amount, round(coupon["percent_off"] * 100), 10_000) for amount in left]
    weights = [max(amount, 0) for amount in left]
    return money.spread(min(coupon["amount_off"], sum(weights)), weights)
