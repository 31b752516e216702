"""Where Stripe keeps what we read: one function per fact, today's place first, the place of older versions after it.

The moves are those of the API changelog (https://docs.stripe.com/changelog): periods went to the items and an
invoice's subscription to its parent in 2025-03-31.basil, a discount's coupon to its source in
2025-09-30.clover.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Doc = Mapping[str, Any]


def moment(seconds: int | None) -> datetime | None:
    """Stripe's Unix seconds as an aware datetime."""
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def known_moment(seconds: int) -> datetime:
    """As `moment`, where Stripe always gives one."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def id_of(reference: Any) -> str:
    """The id, whether the object came expanded, as an id, or not at all ("")."""
    if reference is None:
        return ""
    if isinstance(reference, str):
        return reference
    return str(reference.get("id") or "")


def entries(listing: Any) -> list[dict[str, Any]]:
    """What a list object holds."""
    return list((listing or {}).get("data") or [])


# --- Subscriptions ------------------------------------------------------------------------------------------


def items(subscription: Doc) -> list[dict[str, Any]]:
    return entries(subscription.get("items"))


def item_period(item: Doc, subscription: Doc) -> tuple[datetime | None, datetime | None]:
    """The [start, end) of one item; items of one subscription may have different ones."""
    start = item.get("current_period_start") or subscription.get("current_period_start")
    end = item.get("current_period_end") or subscription.get("current_period_end")
    return moment(start), moment(end)


def sub_period(subscription: Doc) -> tuple[int | None, int | None]:
    """The binding period in Unix seconds: the latest start and the earliest end of the items."""
    starts = [
        item["current_period_start"] for item in items(subscription) if item.get("current_period_start")
    ]
    ends = [item["current_period_end"] for item in items(subscription) if item.get("current_period_end")]
    return (
        max(starts, default=None) or subscription.get("current_period_start"),
        min(ends, default=None) or subscription.get("current_period_end"),
    )


def is_metered(price: Doc) -> bool:
    return ((price.get("recurring") or {}).get("usage_type")) == "metered"


# --- Invoices -----------------------------------------------------------------------------------------------


def invoice_subscription_id(invoice: Doc) -> str:
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    return id_of(details.get("subscription") or invoice.get("subscription"))


def invoice_is_paid(invoice: Doc) -> bool:
    return invoice.get("status") == "paid"


def invoice_payment_intent_ids(invoice: Doc) -> list[str]:
    """The payment intents it was paid or tried with, the latest last. Needs `payments` expanded."""
    found = [
        id_of((payment.get("payment") or {}).get("payment_intent"))
        for payment in entries(invoice.get("payments"))
    ]
    return [intent for intent in found if intent] or [i for i in [id_of(invoice.get("payment_intent"))] if i]


def invoice_charge_ids(invoice: Doc) -> list[str]:
    """Charges named by the invoice itself; usually it names payment intents instead."""
    found = [
        id_of((payment.get("payment") or {}).get("charge")) for payment in entries(invoice.get("payments"))
    ]
    return [charge for charge in found if charge] or [c for c in [id_of(invoice.get("charge"))] if c]


def invoice_period(invoice: Doc) -> tuple[datetime | None, datetime | None]:
    """What the lines pay for: the invoice's own period is that of the items added to it, one period too early."""
    periods = [line["period"] for line in entries(invoice.get("lines")) if line.get("period")]
    start = min((period["start"] for period in periods), default=invoice.get("period_start"))
    end = max((period["end"] for period in periods), default=invoice.get("period_end"))
    return moment(start), moment(end)


def line_price_id(line: Doc) -> str:
    """The price a line of an invoice is of; "" for one that has none."""
    named = ((line.get("pricing") or {}).get("price_details") or {}).get("price")
    return id_of(named or line.get("price"))


def invoice_paid_at(invoice: Doc) -> datetime | None:
    return moment((invoice.get("status_transitions") or {}).get("paid_at"))


def invoice_finalized_at(invoice: Doc) -> datetime | None:
    return moment((invoice.get("status_transitions") or {}).get("finalized_at"))


# --- Customers and cards ------------------------------------------------------------------------------------


def coupon_of_discount(discount: Doc) -> Any:
    return (discount.get("source") or {}).get("coupon") or discount.get("coupon")


def default_card(customer: Doc, subscriptions: Iterable[Doc]) -> dict[str, Any] | None:
    """The payment method that will be charged: the live subscription's own, else the customer's default.

    Hosted Checkout puts the card on the subscription:
    https://docs.stripe.com/payments/checkout/how-checkout-works. Both must come expanded.
    """
    for subscription in subscriptions:
        method = subscription.get("default_payment_method")
        if isinstance(method, dict):
            return method
    method = (customer.get("invoice_settings") or {}).get("default_payment_method")
    return method if isinstance(method, dict) else None
