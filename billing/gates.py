"""Gates of a product's own views: what the plan includes opens them, and a refusal names the way out.

from billing.gates import requires

@requires("sso")
def set_up_sso(request): ...
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, cast

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts import members
from accounts.decorators import AccountView, P, PlainView, account_required
from accounts.models import Member
from accounts.requests import AccountRequest
from billing import catalog, rights

ON_HOLD = "Nothing can be used until that is settled; please write to us."


def requires(*switches: str) -> Callable[[AccountView[P]], PlainView[P]]:
    """Let a view be opened by accounts whose plan has all of these switches on; others get a 403 with the way out.

    The view is for people signed in and acting for an account, as with `account_required`. Programs (whoever accepts
    JSON and no page) get a problem, `feature_not_included`. A switch that the price list does not have is a mistake
    of the program and raises catalog.UnknownFeature.
    """

    def decorate(view: AccountView[P]) -> PlainView[P]:
        @wraps(view)
        def inner(request: AccountRequest, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            granted = rights.of(request)
            for switch in switches:
                feature = catalog.current().feature(switch)
                if not granted.includes(switch):
                    is_blocked = granted.is_blocked
                    is_sold = any(switch in plan.switches for plan in catalog.current().for_sale())
                    way_out = " Choose a plan that does." if is_sold else ""
                    return refuse(
                        request,
                        status=403,
                        code="feature_not_included",
                        heading="This account is on hold" if is_blocked else "This is not in your plan",
                        detail=ON_HOLD
                        if is_blocked
                        else f"{granted.plan.name} does not include {feature.name}.{way_out}",
                        upgrade_url=upgrade_url() if is_sold and not is_blocked else "",
                        feature=switch,
                        reason=granted.reason if is_blocked else "not_included",
                    )
            return view(request, *args, **kwargs)

        return account_required(cast("AccountView[P]", inner))

    return decorate


def refuse(
    request: HttpRequest,
    *,
    status: int,
    code: str,
    detail: str,
    heading: str = "This needs more than your plan has",
    upgrade_url: str = "",
    **more: Any,
) -> HttpResponse:
    """A page that says why and where the way out is, or the same as a problem (RFC 9457) for programs.

    `upgrade_url` empty: nothing that is sold would help. `more` are members of the problem.
    """
    if wants_problem(request):
        body = {
            "type": f"urn:tallyhouse:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            **more,
            **({"upgrade_url": upgrade_url} if upgrade_url else {}),
        }
        response = HttpResponse(
            json.dumps(body, cls=DjangoJSONEncoder), status=status, content_type="application/problem+json"
        )
    else:
        member: Member | None = getattr(request, "member", None)
        may_bill = member is not None and member.may_bill
        response = render(
            request,
            "billing/refused.html",
            {
                "heading": heading,
                "detail": detail,
                "upgrade_url": upgrade_url,
                "may_bill": may_bill,
                "people": []
                if may_bill or member is None
                else members.names_of(member.account, roles=Member.BILLING_ROLES),
                "quiet_notice": True,
            },
            status=status,
        )
    response["Cache-Control"] = "no-store"
    return response


def wants_problem(request: HttpRequest) -> bool:
    """Whether the caller is a program: it accepts JSON and no page."""
    return request.get_preferred_type(["text/html", "application/problem+json", "application/json"]) not in (
        "text/html",
        None,
    )


def upgrade_url() -> str:
    """Where more can be bought; absolute, for callers that have no page of ours open."""
    return f"{settings.BASE_URL}{reverse('billing:pricing')}"
