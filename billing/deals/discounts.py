"""What is taken off somebody's invoices, as Stripe says it and as our pages do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing import money
from billing.stripe.shapes import Doc, id_of, moment


def read(subscription: Doc) -> list[dict[str, Any]]:
    """The discounts of a subscription that came with their coupons: one entry each for `Subscription.discounts`."""
    found = [one for one in subscription.get("discounts") or [] if isinstance(one, Mapping)]
    return [entry for one in found if (entry := _entry(one))]


def of_coupon(coupon: Doc, *, code: str = "", until: datetime | None = None) -> dict[str, Any]:
    """What a coupon takes off, in the same words as `read`. `until` None: see `duration`."""
    return {
        "code": code,
        "name": coupon.get("name") or "",
        "percent_off": coupon["percent_off"],
        "amount_off": coupon["amount_off"],
        "currency": coupon["currency"] or "",
        "duration": coupon["duration"],
        "months": coupon["duration_in_months"],
        "until": until.isoformat() if until else None,
    }


def words(entry: Mapping[str, Any]) -> str:
    """For people: "20% off with FRIEND20 until 21 February 2027", "$5.00 off the next payment"."""
    if entry["percent_off"] is not None:
        off = f"{entry['percent_off']:g}% off"
    else:
        off = f"{money.text(entry['amount_off'], entry['currency'])} off"
    named = f" with {entry['code']}" if entry["code"] else ""
    return f"{off}{named}{_how_long(entry)}"


def _how_long(entry: Mapping[str, Any]) -> str:
    if entry["until"]:
        day = datetime.fromisoformat(entry["until"])
        return f" until {day.day} {day:%B %Y}"
    match entry["duration"]:
        case "once":
            return ", on one payment"
        case "repeating":
            return f" for {entry['months']} month{'' if entry['months'] == 1 else 's'}"
        case _:
            return ", for as long as the plan runs"


def _entry(discount: Mapping[str, Any]) -> dict[str, Any] | None:
    coupon = (discount.get("source") or {}).get("coupon") or discount.get("coupon")
    if not isinstance(coupon, Mapping):
        return None
    code = discount.get("promotion_code")
    return {
        "id": id_of(discount),
        **of_coupon(
            coupon,
            code=str(code.get("code") or "") if isinstance(code, Mapping) else "",
            until=moment(discount.get("end")),
        ),
    }
