"""Many acts in one call: what a busy product sends instead of a thousand requests."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Router, Schema
from pydantic import Field, WithJsonSchema

from accounts.models import Account
from billing import catalog, clock
from usage import metering
from usage.api import problems
from usage.api.json import as_json
from usage.api.problems import answer
from usage.api.shapes import CURRENCY, Body, ProblemOut, SourceOut
from usage.api.standing import CHANGE_ERRORS, caller_of
from usage.metering import Line, Receipt
from usage.metering.batching import MOST_LINES

router = Router(tags=["usage"])


def install(api: NinjaAPI) -> None:
    """Mount the address, and teach `api` to answer what it may raise."""
    api.add_router("", router)
    api.add_exception_handler(metering.BatchRefused, _batch_refused)
    api.add_exception_handler(
        metering.InvalidBatch, lambda request, error: answer(400, "invalid_batch", str(error))
    )


class LineIn(Body):
    """One act."""

    feature: str = Field(
        description="A countable feature of the price list.", examples=["tokens"], max_length=60
    )
    # Checked by metering, which knows what a unit is; the schema says the same to readers.
    units: Annotated[
        Any, WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "default": 1})
    ] = Field(1, description="Whole units; all of them are counted, or none.")
    idempotency_key: str = Field(description="Names this act.", min_length=1, max_length=200)


class BatchIn(Body):
    """Acts to count, in this order."""

    lines: list[LineIn] = Field(min_length=1, max_length=MOST_LINES)
    mode: Literal["all", "each"] = Field(
        "all",
        description="`all`: every line is counted, or none; `each`: what cannot be counted is answered in its place.",
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class CountedOut(Schema):
    """A line that was counted."""

    status: Literal["counted"]
    id: int = Field(description="The row in the ledger.")
    feature: str
    units: int
    used: int = Field(description="Units used in the current window after this act.")
    limit: int | None = Field(description="Units per window; null: no limit.")
    remaining: int | None
    resets_at: str = Field(description="When the allowance comes back.")
    replayed: bool
    sources: list[SourceOut]
    cost: int = Field(description="In the currency's smallest unit.")
    currency: str = Field(
        description="What `cost` is in: of a line that was counted before, the one of then."
    )


class RefusedOut(Schema):
    """A line that was not counted."""

    status: Literal["refused"]
    code: str = Field(description="Stable, for programs; as a single call would answer.")
    detail: str = Field(description="For people: what happened and what to do.")


class BatchOut(Schema):
    """One answer for each line, in their order."""

    account: uuid.UUID
    counted: int = Field(description="How many lines were counted, now or before.")
    currency: str = Field(description=f"{CURRENCY} Of what was counted now; each line says its own.")
    lines: list[CountedOut | RefusedOut]


@router.post(
    "/usage/batch",
    response={200: BatchOut, **CHANGE_ERRORS, 413: ProblemOut},
    summary="Count many acts at once",
)
def consume_batch(request: HttpRequest, response: HttpResponse, body: BatchIn) -> Any:
    """Up to 1,000 acts of one account. Sent again as it is, a batch counts once: each line has its own key.

    With `mode: "all"` the first line that cannot be counted refuses the batch, with the status and code a single call
    would have; `line` says which it was, counted from 0, as its `detail` does. What `detail` says is left is meant
    after the lines before it: none of them was counted, so nothing was used.
    """
    caller = caller_of(request, response)
    account = caller.counts_for(body.account)
    try:
        answers = metering.consume_batch(
            account=account,
            lines=[Line(line.feature, line.units, line.idempotency_key) for line in body.lines],
            mode=body.mode,
            now=clock.wall(),
            user=caller.user,
            api_key=caller.key,
        )
    except Account.DoesNotExist:
        problems.not_found("There is no such account.")
    receipts = [found for found in answers if isinstance(found, Receipt)]
    # Lines that are alike share one tuple of sources; and a dict is written in a third of a dataclass's time.
    shared = {id(receipt.sources): receipt.sources for receipt in receipts}
    sources = {number: [asdict(source) for source in parts] for number, parts in shared.items()}
    # Answered directly: to check a hundred lines of our own against the schema takes longer than to count them.
    content = as_json(
        {
            "account": account.pk,
            "counted": len(receipts),
            "currency": _currency(receipts),
            "lines": [
                _counted(found, sources[id(found.sources)]) if isinstance(found, Receipt) else _refused(found)
                for found in answers
            ],
        }
    )
    whole = HttpResponse(content, content_type="application/json")
    whole["Cache-Control"] = "no-store"
    return whole


def _currency(receipts: list[Receipt]) -> str:
    """Of what is counted now, else of what was counted before, else the price list's."""
    paid = [receipt for receipt in receipts if receipt.cost]
    return next(
        (receipt.currency for receipt in paid if not receipt.replayed),
        paid[0].currency if paid else catalog.current().currency,
    )


def _counted(receipt: Receipt, sources: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": "counted",
        "id": receipt.record_id,
        "feature": receipt.feature,
        "units": receipt.units,
        "used": receipt.used,
        "limit": receipt.limit,
        "remaining": receipt.remaining,
        "resets_at": receipt.resets_at,
        "replayed": receipt.replayed,
        "sources": sources,
        "cost": receipt.cost,
        "currency": receipt.currency,
    }


def _refused(fault: Exception) -> dict[str, Any]:
    _, code = _status_and_code(fault)
    return {"status": "refused", "code": code, "detail": str(fault)}


def _batch_refused(request: HttpRequest, error: Any) -> HttpResponse:
    status, code = _status_and_code(error.fault)
    return answer(status, code, str(error), line=error.line)


def _status_and_code(fault: Exception) -> tuple[int, str]:
    """As a single call would be answered."""
    match fault:
        case metering.AllowanceExhausted():
            return 402, "allowance_exhausted"
        case metering.FeatureNotIncluded():
            return 403, "feature_not_included"
        case metering.IdempotencyConflict():
            return 409, "idempotency_conflict"
        case metering.InvalidUnits():
            return 400, "invalid_units"
        case metering.InvalidKey():
            return 400, "invalid_idempotency_key"
        case _:
            return 404, "not_found"
