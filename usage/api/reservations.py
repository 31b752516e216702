"""Work whose true cost is known later: hold an upper bound, settle what it took, release it when it failed."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Header, NinjaAPI, Query, Router, Schema
from pydantic import AwareDatetime, Field, WithJsonSchema

from accounts.models import Account
from billing import clock
from usage import metering
from usage.api.problems import answer
from usage.api.receipts import note_quota, one_key, receipt_of
from usage.api.shapes import Body, ReceiptOut
from usage.api.standing import CHANGE_ERRORS, ERRORS, AccountParameter, caller_of
from usage.metering import Hold

router = Router(tags=["reservations"])

_UNITS = {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}


def install(api: NinjaAPI) -> None:
    """Mount the addresses, and teach `api` to answer what they may raise."""
    api.add_router("", router)
    answers: dict[type[Exception], tuple[int, str]] = {
        metering.UnknownReservation: (404, "not_found"),
        metering.ReservationOver: (409, "reservation_over"),
        metering.MoreThanHeld: (409, "more_than_held"),
        metering.InvalidTime: (400, "invalid_time"),
    }
    for kind, (status, code) in answers.items():
        api.add_exception_handler(kind, _said(status, code))


def _said(status: int, code: str) -> Any:
    return lambda request, error: answer(status, code, str(error))


class ReservationIn(Body):
    """Units to set aside."""

    feature: str = Field(
        description="A countable feature of the price list.", examples=["tokens"], max_length=60
    )
    units: Annotated[Any, WithJsonSchema(_UNITS)] = Field(
        description="As many as the work may take at most; all of them are held, or none."
    )
    idempotency_key: str | None = Field(
        None,
        description="Names the work: sent again, it is held once. May be sent as the header Idempotency-Key.",
        min_length=1,
        max_length=200,
    )
    holds_for_seconds: int = Field(
        600, ge=1, le=86_400, description="After that the units are free again by themselves."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class SettlementIn(Body):
    """What the work took."""

    units: Annotated[Any, WithJsonSchema(_UNITS)] = Field(
        description="What it took: less than was held, as many, or more. For nothing at all, release."
    )
    beyond: Literal["draw", "refuse"] = Field(
        "draw",
        description="When it took more than was held: draw the rest as any act would, or refuse (409).",
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class ReleaseReservationIn(Body):
    """Nothing was used."""

    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class ReservationOut(Schema):
    """Units set aside. Times are the account's."""

    id: int
    account: uuid.UUID
    feature: str
    units: int
    from_credits: int = Field(description="Of the units: they would be burned from credits.")
    to_be_paid: int = Field(description="Of the units: they would be paid by the unit.")
    state: Literal["held", "settled", "released", "expired"]
    held_at: AwareDatetime
    expires_at: AwareDatetime
    settled_units: int | None = Field(description="What was counted; null: nothing.")
    record: int | None = Field(description="The row in the ledger, once it is settled.")
    replayed: bool = Field(description="True: this key had held them before.")


class EstimateOut(Schema):
    """A range from the account's own history; null without one."""

    account: uuid.UUID
    feature: str
    low: int | None = Field(description="One act in ten took no more.")
    typical: int | None = Field(description="Half of the acts took no more.")
    high: int | None = Field(description="Nine acts in ten took no more: a good number to reserve.")
    sample: int = Field(description="Acts looked at, the newest.")


@router.post("/reservations", response={200: ReservationOut, **CHANGE_ERRORS}, summary="Hold units for work")
def reserve(
    request: HttpRequest,
    response: HttpResponse,
    body: ReservationIn,
    idempotency_key: Annotated[str | None, Header(None, alias="Idempotency-Key", max_length=200)],
) -> Any:
    """Call it before the work. Held units count as used for everybody else, so the work cannot be refused once it is
    done. Refused as counting is: 402 `allowance_exhausted`, 403 `feature_not_included`.
    """
    caller = caller_of(request, response)
    account = caller.acts_for(body.account)
    hold = metering.reserve(
        account=account,
        feature=body.feature,
        units=body.units,
        idempotency_key=one_key(body.idempotency_key, idempotency_key),
        now=clock.wall(),
        holds_for=timedelta(seconds=body.holds_for_seconds),
        user=caller.user,
        api_key=caller.key,
    )
    return _reservation(account, hold)


@router.get(
    "/reservations/{reservation_id}", response={200: ReservationOut, **ERRORS}, summary="How it stands"
)
def get_reservation(
    request: HttpRequest, response: HttpResponse, reservation_id: int, account: AccountParameter = None
) -> Any:
    """Held, settled, released or expired."""
    acting = caller_of(request, response).acts_for(account)
    return _reservation(
        acting, metering.find(account=acting, reservation_id=reservation_id, now=clock.wall())
    )


@router.post(
    "/reservations/{reservation_id}/settle",
    response={200: ReceiptOut, **CHANGE_ERRORS},
    summary="Count what the work took",
)
def settle(request: HttpRequest, response: HttpResponse, reservation_id: int, body: SettlementIn) -> Any:
    """What was held is counted as far as it was used, and the rest goes back. Sent again it counts once.

    Settled after `expires_at` it counts once if the units are still there, else it is refused with 402.
    """
    caller = caller_of(request, response)
    account = caller.acts_for(body.account)
    receipt = metering.settle(
        account=account,
        reservation_id=reservation_id,
        units=body.units,
        now=clock.wall(),
        beyond=body.beyond,
        user=caller.user,
    )
    note_quota(response, receipt)
    return receipt_of(account, receipt)


@router.post(
    "/reservations/{reservation_id}/release",
    response={200: ReservationOut, **CHANGE_ERRORS},
    summary="Give everything back",
)
def release(
    request: HttpRequest, response: HttpResponse, reservation_id: int, body: ReleaseReservationIn
) -> Any:
    """The work failed. Twice, or after its time, is harmless; 409 `reservation_over` when it was settled."""
    caller = caller_of(request, response)
    account = caller.acts_for(body.account)
    hold = metering.release(
        account=account, reservation_id=reservation_id, now=clock.wall(), user=caller.user
    )
    return _reservation(account, hold)


@router.get("/usage/estimate", response={200: EstimateOut, **ERRORS}, summary="What an act will take")
def estimate(
    request: HttpRequest,
    response: HttpResponse,
    feature: Annotated[str, Query(description="A countable feature.", max_length=60)],
    account: AccountParameter = None,
) -> Any:
    """Low, typical and high, from what the account's own latest acts took."""
    acting = caller_of(request, response).acts_for(account)
    found = metering.estimate(account=acting, feature=feature, now=clock.wall())
    return {
        "account": acting.pk,
        "feature": found.feature,
        "low": found.low,
        "typical": found.typical,
        "high": found.high,
        "sample": found.sample,
    }


def _reservation(account: Account, hold: Hold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "account": account.pk,
        "feature": hold.feature,
        "units": hold.units,
        "from_credits": hold.credited,
        "to_be_paid": hold.billed,
        "state": hold.state,
        "held_at": hold.held_at,
        "expires_at": hold.expires_at,
        "settled_units": hold.settled_units,
        "record": hold.record_id,
        "replayed": hold.replayed,
    }
