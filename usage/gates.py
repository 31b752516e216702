"""Gates of a product's own views: units for the work they do, room for what they make, switches for what they offer.

from usage.gates import limited, metered, requires

@metered("ai_generations")      a unit for the work: held before, counted when it is done, given back when it fails
@limited("projects")            room for one more, counted together with the thing that is made
@requires("sso")                only where the plan includes it

A refusal is a page with the way out; for programs (whoever accepts JSON and no page) a problem with a stable code.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, cast

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.decorators import AccountView, P, PlainView, account_required
from accounts.requests import AccountRequest
from billing import clock
from billing.gates import ON_HOLD, refuse, requires
from usage import metering
from usage.metering import Held
from usage.metering.reserving import HOLDS_FOR
from usage.standing import LimitReached, gauges

__all__ = ["held", "limited", "metered", "requires"]

Units = int | Callable[[AccountRequest], int]
Key = Callable[..., str]


def metered(
    feature: str, *, units: Units = 1, key: Key | None = None, holds_for: timedelta = HOLDS_FOR
) -> Callable[[AccountView[P]], PlainView[P]]:
    """Let a view do its work only when the account has `units` of `feature` left, and count them when it is done.

    units      as many as the work may take at most, or a function of the request; `held(request).settle(n)` in the
               view counts what it took, else all are counted
    key        a function of the view's own arguments that names the work, so that it is done and counted once however
               often the request is sent; without it each request is work of its own
    holds_for  longer than the work can take

    Nothing is counted when the view raises or answers with an error (400 and above). Refused with 402 when too few
    are left, 403 when the plan has none, 409 when work of this key was begun before, 503 when it cannot be checked.
    """

    def decorate(view: AccountView[P]) -> PlainView[P]:
        @wraps(view)
        def inner(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            with metering.hold(
                account=request.account,
                feature=feature,
                units=units if isinstance(units, int) else units(request),
                idempotency_key=key(request, *args, **kwargs) if key else uuid.uuid4().hex,
                now=clock.wall(),
                holds_for=holds_for,
                user=request.user,
            ) as work:
                request._held = work  # type: ignore[attr-defined]
                response = view(request, *args, **kwargs)
                if response.status_code >= 400:
                    work.release()
                return response

        return _gate(view, inner)

    return decorate


def held(request: HttpRequest) -> Held:
    """What `metered` holds for the view that answers this request: settle it for what the work took."""
    return cast(Held, request._held)  # type: ignore[attr-defined]


def limited(
    feature: str, *, units: Units = 1, key: Key | None = None
) -> Callable[[AccountView[P]], PlainView[P]]:
    """Let a view make something only when there is room for it within the plan's standing limit, and count it.

    key  a function of the view's own arguments that names the thing; without it things are only counted, and let go
         with `gauges.release(…)`

    The view runs in the transaction that counts, so the thing and its count are made together or, when the view
    raises or answers with an error (400 and above), not at all. Others who want more of the same wait meanwhile: what
    is slow belongs in `transaction.on_commit`. Refused with 402 when the limit is reached or exceeded, 403 when the
    plan has none, 503 when it cannot be checked.
    """

    def decorate(view: AccountView[P]) -> PlainView[P]:
        @wraps(view)
        def inner(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            with transaction.atomic():
                gauges.claim(
                    account=request.account,
                    feature=feature,
                    units=units if isinstance(units, int) else units(request),
                    key=key(request, *args, **kwargs) if key else None,
                    now=clock.wall(),
                    user=request.user,
                )
                response = view(request, *args, **kwargs)
                if response.status_code >= 400:
                    transaction.set_rollback(True)
                return response

        return _gate(view, inner)

    return decorate


def _gate(view: AccountView[P], inner: AccountView[P]) -> PlainView[P]:
    """`inner` for people acting for an account, with refusals as answers."""
    if inspect.iscoroutinefunction(view):
        raise TypeError("Gates are for views that are not async: their checks wait for the database.")

    @wraps(view)
    def answer(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        try:
            return inner(request, *args, **kwargs)
        except metering.Refused as refused:
            return _refused(request, refused)
        except metering.WorkRepeated as repeated:
            return refuse(
                request,
                status=409,
                code="work_repeated",
                heading="This was begun before",
                detail=str(repeated),
            )
        except metering.CheckFailed as failed:
            response = refuse(
                request,
                status=503,
                code="check_failed",
                heading="This could not be checked",
                detail=str(failed),
            )
            response["Retry-After"] = "1"
            return response

    return account_required(cast("AccountView[P]", answer))


def _refused(request: HttpRequest, refused: metering.Refused) -> HttpResponse:
    facts: dict[str, Any] = {
        "feature": refused.feature,
        "reason": refused.reason,
        "used": refused.used,
        "reserved": refused.reserved,
        "limit": refused.limit,
        "remaining": refused.remaining,
        "comes_back_at": refused.comes_back_at,
    }
    if isinstance(refused, metering.AllowanceExhausted | LimitReached):
        return refuse(
            request,
            status=402,
            code="limit_reached" if isinstance(refused, LimitReached) else "allowance_exhausted",
            heading=_heading(refused),
            detail=str(refused),
            upgrade_url=refused.upgrade_url if refused.is_more_sold else "",
            **facts,
        )
    headings = {"not_included": "This is not in your plan", "role": "Guests look but do not use"}
    is_on_hold = refused.reason not in headings
    return refuse(
        request,
        status=403,
        code="feature_not_included",
        heading=headings.get(refused.reason, "This account is on hold"),
        detail=ON_HOLD if is_on_hold else str(refused),
        upgrade_url=refused.upgrade_url if refused.reason == "not_included" else "",
        **facts,
    )


def _heading(refused: metering.Refused) -> str:
    """ "Used" is said of what is used: units that work going on holds, or that are left but too few, are not."""
    if isinstance(refused, metering.BudgetReached | metering.MemberBudgetReached):
        return "The budget does not allow this"
    if refused.remaining or refused.reserved:
        return "Not enough is left just now"
    return "All that your plan gives is used"
