"""What is held: gauges for things that stay, slots for runs that go on, each within its limit."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query, Router, Schema
from pydantic import AwareDatetime, ConfigDict, Field, WithJsonSchema

from accounts.models import Account
from billing import catalog, clock
from usage.api.callers import Caller
from usage.api.problems import answer
from usage.api.shapes import ProblemOut
from usage.models import Slot
from usage.standing import LimitReached, Standing, gauges, slots

router = Router(tags=["standing"])

ERRORS = dict.fromkeys((400, 401, 403, 404, 429), ProblemOut)
CHANGE_ERRORS = {**ERRORS, 402: ProblemOut, 409: ProblemOut, 503: ProblemOut}
AccountParameter = Annotated[
    uuid.UUID | None, Query(None, description="For whom; needed with a service key only.")
]
_WHOLE = {"type": "integer", "maximum": gauges.MOST_UNITS}


def install(api: NinjaAPI) -> None:
    """Mount the addresses, and teach `api` to answer what they may raise."""
    api.add_router("", router)
    api.add_exception_handler(LimitReached, _limit_reached)
    api.add_exception_handler(gauges.NotHeld, lambda request, error: answer(409, "not_held", str(error)))
    api.add_exception_handler(slots.SlotLost, lambda request, error: answer(409, "slot_lost", str(error)))
    api.add_exception_handler(slots.InvalidTtl, lambda request, error: answer(400, "invalid_ttl", str(error)))


def _limit_reached(request: HttpRequest, error: Any) -> HttpResponse:
    return answer(
        402,
        "limit_reached",
        str(error),
        feature=error.feature,
        reason=error.reason,
        used=error.used,
        limit=error.limit,
        remaining=error.remaining,
        upgrade_url=error.upgrade_url,
    )


class ClaimIn(Schema):
    """More of something."""

    model_config = ConfigDict(extra="forbid")

    # Checked by gauges, which know what a unit is; the schema says the same to readers.
    units: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 1, "default": 1})] = Field(
        1, description="Whole units (bytes for storage); all of them are counted, or none."
    )
    key: str | None = Field(
        None,
        description="Names the thing: claimed again while it is held, it is counted once.",
        min_length=1,
        max_length=200,
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class ReleaseIn(Schema):
    """Less of something."""

    model_config = ConfigDict(extra="forbid")

    units: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 1})] = Field(
        None, description="Without a key: how many; 1 when not said."
    )
    key: str | None = Field(
        None,
        description="What was claimed by this key goes, whole; when nothing is held by it, nothing changes.",
        min_length=1,
        max_length=200,
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class CountIn(Schema):
    """How many there really are."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[Any, WithJsonSchema({**_WHOLE, "minimum": 0})] = Field(
        description="The whole count, taken also when it is above the limit."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class GaugeOut(Schema):
    """How much of a feature is held."""

    account: uuid.UUID
    feature: str
    name: str
    used: int
    limit: int | None = Field(description="null: unlimited.")
    remaining: int | None
    is_over: bool = Field(
        description="More is held than the plan gives: show it, let it be removed, add and change nothing."
    )
    over_since: AwareDatetime | None = Field(description="When that was first seen.")


class GaugesOut(Schema):
    """Every standing limit of the price list."""

    account: uuid.UUID
    gauges: list[GaugeOut]


class SlotIn(Schema):
    """A run, by its key."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(description="Names the run, such as its id.", min_length=1, max_length=200)
    ttl_seconds: int = Field(
        300, ge=1, le=86_400, description="How long the slot is kept without a heartbeat."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class SlotOut(Schema):
    """A run that is going on, until it is given back or silent for too long."""

    feature: str
    key: str
    taken_at: AwareDatetime
    expires_at: AwareDatetime


class SlotsOut(Schema):
    """The runs that are going on, oldest first."""

    account: uuid.UUID
    feature: str
    used: int
    limit: int | None
    remaining: int | None
    slots: list[SlotOut]


class HeartbeatOut(Schema):
    key: str
    expires_at: AwareDatetime


class GivenBackOut(Schema):
    key: str
    was_held: bool = Field(description="False: it had been given back before, or its time was over.")


@router.get(
    "/gauges", response={200: GaugesOut, **ERRORS, 503: ProblemOut}, summary="Everything that is held"
)
def list_gauges(request: HttpRequest, response: HttpResponse, account: AccountParameter = None) -> Any:
    """How much of each standing limit is held: projects, members, bytes."""
    acting, now = _caller(request, response).acts_for(account), clock.wall()
    limited = [feature.key for feature in catalog.current().features.values() if feature.kind == "limit"]
    return {
        "account": acting.pk,
        "gauges": [_gauge(acting, gauges.state(acting, feature, now)) for feature in limited],
    }


@router.get(
    "/gauges/{feature}", response={200: GaugeOut, **ERRORS, 503: ProblemOut}, summary="How much is held"
)
def get_gauge(
    request: HttpRequest, response: HttpResponse, feature: str, account: AccountParameter = None
) -> Any:
    """What is held of one feature, and its limit."""
    acting = _caller(request, response).acts_for(account)
    return _gauge(acting, gauges.state(acting, feature, clock.wall()))


@router.post(
    "/gauges/{feature}/claim", response={200: GaugeOut, **CHANGE_ERRORS}, summary="Make room for more"
)
def claim(request: HttpRequest, response: HttpResponse, feature: str, body: ClaimIn) -> Any:
    """Call it before the thing is made. All of the units are counted, or none; however many ask at once, no more than
    the limit is given.

    Refused with 402 `limit_reached`; its `reason` is `over_limit` when more is held than the plan gives, after a
    downgrade: then nothing is added until it fits.
    """
    caller = _caller(request, response)
    acting = caller.acts_for(body.account)
    return _gauge(
        acting,
        gauges.claim(
            account=acting,
            feature=feature,
            units=body.units,
            key=body.key,
            now=clock.wall(),
            user=caller.user,
        ),
    )


@router.post("/gauges/{feature}/release", response={200: GaugeOut, **CHANGE_ERRORS}, summary="Let go of some")
def release(request: HttpRequest, response: HttpResponse, feature: str, body: ReleaseIn) -> Any:
    """Call it when the thing is gone. With a key, twice is harmless; 409 `not_held` when fewer are held than named."""
    caller = _caller(request, response)
    acting = caller.acts_for(body.account)
    return _gauge(
        acting,
        gauges.release(
            account=acting,
            feature=feature,
            units=body.units,
            key=body.key,
            now=clock.wall(),
            user=caller.user,
        ),
    )


@router.put("/gauges/{feature}", response={200: GaugeOut, **CHANGE_ERRORS}, summary="Say how many there are")
def set_gauge(request: HttpRequest, response: HttpResponse, feature: str, body: CountIn) -> Any:
    """For what you count yourself, such as a nightly sum of file sizes. It is taken also above the limit."""
    caller = _caller(request, response)
    acting = caller.acts_for(body.account)
    return _gauge(
        acting,
        gauges.set_to(account=acting, feature=feature, value=body.value, now=clock.wall(), user=caller.user),
    )


@router.get(
    "/slots/{feature}", response={200: SlotsOut, **ERRORS, 503: ProblemOut}, summary="Which runs are going on"
)
def list_slots(
    request: HttpRequest, response: HttpResponse, feature: str, account: AccountParameter = None
) -> Any:
    """The runs of one feature, and how many more may begin."""
    acting, now = _caller(request, response).acts_for(account), clock.wall()
    standing = gauges.state(acting, feature, now)
    return {
        "account": acting.pk,
        "feature": feature,
        "used": standing.used,
        "limit": standing.limit,
        "remaining": standing.remaining,
        "slots": [_slot(slot) for slot in slots.running(acting, feature, now=now)],
    }


@router.post("/slots/{feature}/take", response={200: SlotOut, **CHANGE_ERRORS}, summary="Begin a run")
def take(request: HttpRequest, response: HttpResponse, feature: str, body: SlotIn) -> Any:
    """Refused with 402 `limit_reached` while as many run as the plan gives. The same key again is the same run.

    Send a heartbeat well before `expires_at`: a run that is silent until then has lost its slot to whoever asks next.
    """
    caller = _caller(request, response)
    return _slot(
        slots.take(
            account=caller.acts_for(body.account),
            feature=feature,
            key=body.key,
            now=clock.wall(),
            ttl=timedelta(seconds=body.ttl_seconds),
            user=caller.user,
        )
    )


@router.post(
    "/slots/{feature}/heartbeat", response={200: HeartbeatOut, **CHANGE_ERRORS}, summary="The run goes on"
)
def heartbeat(request: HttpRequest, response: HttpResponse, feature: str, body: SlotIn) -> Any:
    """409 `slot_lost`: its time was over before; stop, or take a slot anew."""
    caller = _caller(request, response)
    until = slots.beat(
        account=caller.acts_for(body.account),
        feature=feature,
        key=body.key,
        now=clock.wall(),
        ttl=timedelta(seconds=body.ttl_seconds),
        user=caller.user,
    )
    return {"key": body.key, "expires_at": until}


@router.post(
    "/slots/{feature}/release", response={200: GivenBackOut, **CHANGE_ERRORS}, summary="The run is over"
)
def give_back(request: HttpRequest, response: HttpResponse, feature: str, body: SlotIn) -> Any:
    """Give the slot back. Twice, or late, is harmless."""
    caller = _caller(request, response)
    was_held = slots.give_back(
        account=caller.acts_for(body.account), feature=feature, key=body.key, user=caller.user
    )
    return {"key": body.key, "was_held": was_held}


def _caller(request: HttpRequest, response: HttpResponse) -> Caller:
    response["Cache-Control"] = "no-store"
    caller = request.auth  # type: ignore[attr-defined]  # set by ninja to what authentication returned
    assert isinstance(caller, Caller)
    return caller


def _gauge(account: Account, standing: Standing) -> dict[str, Any]:
    return {
        "account": account.pk,
        "feature": standing.feature,
        "name": catalog.current().feature(standing.feature).name,
        "used": standing.used,
        "limit": standing.limit,
        "remaining": standing.remaining,
        "is_over": standing.is_over,
        "over_since": standing.over_since,
    }


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "feature": slot.feature,
        "key": slot.key,
        "taken_at": slot.taken_at,
        "expires_at": slot.expires_at,
    }
