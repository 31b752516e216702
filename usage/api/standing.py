"""What is held: gauges for things that stay, slots for runs that go on, each within its limit."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query, Router

from accounts.models import Account
from billing import catalog, clock
from usage.api.callers import Caller
from usage.api.problems import answer
from usage.api.shapes import ProblemOut
from usage.api.standing_shapes import (
    ClaimIn,
    CountIn,
    GaugeOut,
    GaugesOut,
    GivenBackOut,
    HeartbeatOut,
    ReleaseIn,
    SlotIn,
    SlotOut,
    SlotsOut,
)
from usage.models import Slot
from usage.standing import LimitReached, Standing, gauges, slots

router = Router(tags=["standing"])

ERRORS = dict.fromkeys((400, 401, 403, 404, 429), ProblemOut)
CHANGE_ERRORS = {**ERRORS, 402: ProblemOut, 409: ProblemOut, 503: ProblemOut}
AccountParameter = Annotated[
    uuid.UUID | None, Query(None, description="For whom; needed with a service key only.")
]


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


@router.get(
    "/gauges", response={200: GaugesOut, **ERRORS, 503: ProblemOut}, summary="Everything that is held"
)
def list_gauges(request: HttpRequest, response: HttpResponse, account: AccountParameter = None) -> Any:
    """How much of each standing limit is held: projects, members, bytes."""
    acting, now = caller_of(request, response).acts_for(account), clock.wall()
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
    acting = caller_of(request, response).acts_for(account)
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
    caller = caller_of(request, response)
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
    caller = caller_of(request, response)
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
    caller = caller_of(request, response)
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
    acting, now = caller_of(request, response).acts_for(account), clock.wall()
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
    caller = caller_of(request, response)
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
    caller = caller_of(request, response)
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
    caller = caller_of(request, response)
    was_held = slots.give_back(
        account=caller.acts_for(body.account), feature=feature, key=body.key, user=caller.user
    )
    return {"key": body.key, "was_held": was_held}


def caller_of(request: HttpRequest, response: HttpResponse) -> Caller:
    """Who is calling; nobody keeps a copy of the answer."""
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
