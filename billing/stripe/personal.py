"""What in Stripe's objects says who somebody is, and the same object without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By key, wherever it stands. Sums, dates, numbers, states, ids and what was sold are not personal; a link to Stripe's
# own page of an invoice stays too, because that is where the document itself is kept.
PERSONAL = {
    *(
        "name",
        "individual_name",
        "business_name",
        "email",
        "phone",
        "address",
        "line1",
        "line2",
        "postal_code",
    ),
    *("receipt_email", "receipt_url", "tax_ids", "comment", "custom_fields", "footer", "evidence", "owner"),
    *("ip", "ip_address", "user_agent", "preferred_locales", "client_secret"),
    *("last4", "dynamic_last4", "fingerprint", "iin", "exp_month", "exp_year", "network_transaction_id"),
    *("shipping", "shipping_address", "shipping_details", "billing_address"),
}
PERSONAL_BEGINNINGS = ("customer_", "payer_", "buyer_", "verified_")
# How somebody pays, by key or by what the object calls itself: under the name of its type is what says whose it is.
MEANS = {
    *("payment_method", "payment_method_details", "source", "destination_details"),
    *("next_action", "financial_addresses"),
}
# Objects of the shop that others refer to as well.
SHARED = ("coupon", "plan", "price", "product", "promotion_code")
# Marks of our own, which name rows and not people; but the name somebody wants on invoices.
OUR_MARK, OF_A_NAME = "tallyhouse_", "_name"


def without(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of one of a customer's objects in which nobody is named. Of a means of payment its kind and brand stay."""
    bare = _bare(document, within="")
    if document.get("object") == "customer":
        bare["description"] = None
    return bare


def _bare(document: Mapping[str, Any], *, within: str) -> dict[str, Any]:
    """`within` is the key it stands under: not all that has a type is a means of payment. An invoice's parent, a line's
    price and a payment have one, and name what was sold.
    """
    means = document.get("type") if within in MEANS or document.get("object") in MEANS else None
    return {key: _value(key, value, is_means=key == means) for key, value in document.items()}


def _value(key: str, value: Any, *, is_means: bool) -> Any:
    if key in SHARED or value is None:
        return value
    if key in PERSONAL or key.startswith(PERSONAL_BEGINNINGS):
        return [] if isinstance(value, list) else None
    if isinstance(value, list):
        return [_bare(entry, within=key) if isinstance(entry, Mapping) else entry for entry in value]
    if not isinstance(value, Mapping):
        return value
    if key == "metadata":
        return {name: said for name, said in value.items() if _is_our_mark(name)}
    if is_means:
        return {name: said for name, said in value.items() if name == "brand"}
    return _bare(value, within=key)


def _is_our_mark(name: str) -> bool:
    return name.startswith(OUR_MARK) and not name.endswith(OF_A_NAME)
