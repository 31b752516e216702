"""The only door to Stripe: get, list, write and delete, in plain dictionaries and under our own errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from billing.stripe.gateway.client import as_sdk_object, call, is_resting, line
from billing.stripe.gateway.errors import (
    CardDeclined,
    IdempotencyMismatch,
    InsideTransaction,
    InvalidRequest,
    NotAllowed,
    NotFound,
    StripeError,
    StripeUnavailable,
    WrongMode,
)

__all__ = [
    "CardDeclined",
    "IdempotencyMismatch",
    "InsideTransaction",
    "InvalidRequest",
    "NotAllowed",
    "NotFound",
    "StripeError",
    "StripeUnavailable",
    "WrongMode",
    "as_sdk_object",
    "ask",
    "delete",
    "get",
    "glance",
    "is_resting",
    "line",
    "pages",
    "post",
]


def get(path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read one object or one page, for example `get("/v1/customers/cus_1")`."""
    return call("GET", path, params)


def glance(path: str) -> dict[str, Any]:
    """As `get`, for a page that somebody waits for: a couple of seconds and no second try, then StripeUnavailable."""
    return call("GET", path, is_glance=True)


def pages(
    path: str, params: Mapping[str, Any] | None = None, *, at_most: int = 1000
) -> Iterator[dict[str, Any]]:
    """Every object of a list, newest first as Stripe gives it, page after page, `at_most` of them.

    Pages by the last id seen (https://docs.stripe.com/api/pagination).
    """
    wanted = {"limit": 100, **(params or {})}
    given = 0
    while True:
        page = call("GET", path, wanted)
        for entry in page["data"]:
            if given == at_most:
                return
            given += 1
            yield entry
        if not page["has_more"] or not page["data"]:
            return
        wanted["starting_after"] = page["data"][-1]["id"]


def post(path: str, params: Mapping[str, Any] | None = None, *, idempotency_key: str) -> dict[str, Any]:
    """Create or change something, once per `idempotency_key`.

    The rule is Stripe's: https://docs.stripe.com/api/idempotent_requests. The key must come from a committed
    row, so that a crash between the call and our commit finds the same object again. The same key must never
    be sent with other parameters: IdempotencyMismatch.
    """
    return call("POST", path, params, idempotency_key=idempotency_key)


def ask(path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A POST that changes nothing at Stripe, such as an invoice preview; it needs no key of ours."""
    return call("POST", path, params)


def delete(path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """End or remove something. It takes no idempotency key: the second time finds it gone (NotFound)."""
    return call("DELETE", path, params)
