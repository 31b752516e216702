"""What every counting call has in common: one key that names the act, and the receipt it is answered with."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from accounts.models import Account
from usage.api.problems import Problem
from usage.metering import Receipt


def one_key(in_body: str | None, in_header: str | None) -> str:
    """The idempotency key, wherever it was sent. Raises Problem 400 `invalid_idempotency_key`."""
    if in_body and in_header and in_body != in_header:
        raise Problem(
            400,
            "invalid_idempotency_key",
            "The body and the header name two different keys. Send one of them.",
        )
    key = in_body or in_header
    if not key:
        raise Problem(
            400,
            "invalid_idempotency_key",
            "Send an idempotency key that names this act, in the body or as the header Idempotency-Key, so that "
            "sending it again counts once.",
        )
    return key


def receipt_of(account: Account, receipt: Receipt) -> dict[str, Any]:
    """The fields of ReceiptOut."""
    return {
        "id": receipt.record_id,
        "account": account.pk,
        "feature": receipt.feature,
        "units": receipt.units,
        "used": receipt.used,
        "limit": receipt.limit,
        "remaining": receipt.remaining,
        "resets_at": receipt.resets_at,
        "replayed": receipt.replayed,
        "sources": [
            {"kind": source.kind, "units": source.units, "amount": source.amount}
            for source in receipt.sources
        ],
        "cost": receipt.cost,
        "currency": receipt.currency,
    }


def note_quota(response: HttpResponse, receipt: Receipt) -> None:
    """X-Quota-Limit, -Remaining (where there is an end) and -Reset (seconds since 1970); nobody keeps a copy."""
    if receipt.limit is not None:
        response["X-Quota-Limit"] = str(receipt.limit)
        response["X-Quota-Remaining"] = str(receipt.remaining)
    response["X-Quota-Reset"] = str(int(receipt.resets_at.timestamp()))
    response["Cache-Control"] = "no-store"
