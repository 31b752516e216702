"""The addresses below /api/v1/: each reads the request, calls one verb, answers."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Header, NinjaAPI, Query
from ninja.openapi.schema import OpenAPISchema

from accounts.models import Account
from billing import catalog, clock, entitlements
from billing.catalog import Plan
from usage import metering
from usage.api import problems
from usage.api.callers import BearerKey, Caller, Session
from usage.api.json import Renderer, as_json
from usage.api.problems import Problem
from usage.api.receipts import note_quota, one_key, receipt_of
from usage.api.shapes import (
    EntitlementsOut,
    PlansOut,
    ProblemOut,
    ReceiptOut,
    SubscriptionAnswer,
    UsageIn,
    UsageOut,
)
from usage.models import UsageRecord


class Api(NinjaAPI):
    """Ninja's own, mounted inside the room's URLs, with errors that are problems."""

    def get_root_path(self, path_params: dict[str, Any]) -> str:
        return reverse("usage:api:api-root", kwargs=path_params)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """With the errors' own content type, which ninja cannot be told."""
        schema = super().get_openapi_schema(**options)
        for methods in schema["paths"].values():
            for operation in methods.values():
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        answer["content"] = {
                            "application/problem+json": answer["content"]["application/json"]
                        }
        return schema


api = Api(
    title="Tallyhouse API",
    version="1",
    description="Count what is used, and ask what an account may do.",
    docs_url=None,
    auth=[BearerKey(), Session()],
    renderer=Renderer(),
    urls_namespace="api",
)
problems.install(api)

AccountParameter = Annotated[
    uuid.UUID | None, Query(None, description="For whom; needed with a service key only.")
]
ERRORS = dict.fromkeys((400, 401, 403, 404), ProblemOut)


@api.post(
    "/usage",
    response={200: ReceiptOut, **ERRORS, 402: ProblemOut, 409: ProblemOut, 503: ProblemOut},
    summary="Count units, or learn why not",
)
def consume(
    request: HttpRequest,
    body: UsageIn,
    idempotency_key: Annotated[str | None, Header(None, alias="Idempotency-Key", max_length=200)],
) -> Any:
    """All of the units are counted, or none. The same key again is counted once and answered alike.

    Refused with 402 `allowance_exhausted` when the window's allowance does not have so many left, with 403
    `feature_not_included` when the plan has none of it; both say what helps. 503 `check_failed`: it could not be
    established; do not let the act happen, and ask again with the same key.
    """
    caller = _caller(request)
    account = caller.counts_for(body.account)
    try:
        receipt = metering.consume(
            account=account,
            feature=body.feature,
            units=body.units,
            idempotency_key=one_key(body.idempotency_key, idempotency_key),
            now=clock.wall(),
            user=caller.user,
            api_key=caller.key,
        )
    except Account.DoesNotExist:
        problems.not_found("There is no such account.")
    # Answered directly: our own numbers need not be held against the schema, which takes as long as the rest.
    response = HttpResponse(as_json(receipt_of(account, receipt)), content_type="application/json")
    note_quota(response, receipt)
    return response


@api.get("/usage", response={200: UsageOut, **ERRORS}, summary="Balances and the latest acts")
def usage(
    request: HttpRequest,
    account: AccountParameter = None,
    feature: Annotated[
        str | None, Query(None, description="Only acts of this feature.", max_length=60)
    ] = None,
    limit: Annotated[int, Query(20, ge=1, le=100, description="Acts in one answer.")] = 20,
    cursor: Annotated[str | None, Query(None, description="`next_cursor` of the answer before.")] = None,
) -> dict[str, Any]:
    """What is used and left in each current window, and the acts one by one, newest first."""
    acting = _caller(request).acts_for(account)
    acts = UsageRecord.objects.filter(account=acting)
    if feature is not None:
        acts = acts.filter(feature=_without_nul(feature))
    if cursor is not None:
        acts = acts.filter(pk__lt=_position(cursor))
    found = list(acts.order_by("-id")[: limit + 1])
    features = catalog.current().features
    return {
        "account": acting.pk,
        "balances": [
            {
                "feature": balance.feature,
                "name": features[balance.feature].name,
                "used": balance.used,
                "reserved": balance.reserved,
                "limit": balance.limit,
                "remaining": balance.remaining,
                "is_metered": balance.is_metered,
                "period_start": balance.period_start,
                "period_end": balance.period_end,
            }
            for balance in metering.balances(acting, now=clock.now(acting))
        ],
        "records": [
            {
                "id": act.pk,
                "feature": act.feature,
                "units": act.units,
                "used_after": act.used_after,
                "idempotency_key": act.idempotency_key,
                "recorded_at": act.recorded_at,
            }
            for act in found[:limit]
        ],
        "next_cursor": str(found[limit - 1].pk) if len(found) > limit else None,
    }


@api.get("/entitlements", response={200: EntitlementsOut, **ERRORS}, summary="What the account may do")
def what_the_account_may_do(request: HttpRequest, account: AccountParameter = None) -> dict[str, Any]:
    """Switches, limits, allowances and metered features of the plan in force, for gates in your own product."""
    acting = _caller(request).acts_for(account)
    rights = entitlements.of(acting, now=clock.now(acting))
    features = catalog.current().features.values()
    granted = {feature.key: rights.allowance(feature.key) for feature in features}
    return {
        "account": acting.pk,
        "plan": {"key": rights.plan.key, "name": rights.plan.name},
        "level": rights.level.name.lower(),
        "reason": rights.reason,
        "grace_until": rights.grace_until,
        "valid_until": rights.valid_until,
        "seats": rights.seats,
        "switches": {
            feature.key: rights.includes(feature.key) for feature in features if feature.kind == "switch"
        },
        "limits": {feature.key: rights.limit(feature.key) for feature in features if feature.kind == "limit"},
        "allowances": {
            key: {"quantity": allowance.quantity, "per": allowance.per}
            for key, allowance in granted.items()
            if allowance is not None
        },
        "metered": [feature.key for feature in features if rights.is_metered(feature.key)],
    }


@api.get("/subscription", response={200: SubscriptionAnswer, **ERRORS}, summary="What the account bought")
def subscription(request: HttpRequest, account: AccountParameter = None) -> dict[str, Any]:
    """The live subscription, with Stripe's own words for its status."""
    acting = _caller(request).acts_for(account)
    bought = entitlements.of(acting, now=clock.now(acting)).subscription
    if bought is None:
        return {"account": acting.pk, "subscription": None}
    plan = catalog.current().plans.get(bought.plan_key)
    return {
        "account": acting.pk,
        "subscription": {
            "plan": {"key": bought.plan_key, "name": plan.name if plan else bought.plan_key},
            "price": bought.price_lookup_key,
            "status": bought.status,
            "quantity": bought.quantity,
            "trial_end": bought.trial_end,
            "current_period_start": bought.current_period_start,
            "current_period_end": bought.current_period_end,
            "cancel_at_period_end": bought.cancel_at_period_end,
            "cancel_at": bought.cancel_at,
        },
    }


@api.get("/plans", response=PlansOut, auth=None, summary="The price list")
def plans(request: HttpRequest) -> dict[str, Any]:
    """Every plan that is for sale. Public: no key needed."""
    prices = catalog.current()
    return {"currency": prices.currency, "plans": [_plan(plan) for plan in prices.for_sale()]}


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]  # set by ninja to what authentication returned
    assert isinstance(caller, Caller)
    return caller


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Problem(
            400, "invalid_request", "The cursor is not one of ours. Send `next_cursor` as it was given."
        )
    return int(cursor)


def _without_nul(text: str) -> str:
    if "\0" in text:
        problems.not_found("There is no such feature.")
    return text


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "key": plan.key,
        "name": plan.name,
        "summary": plan.summary,
        "audience": plan.audience,
        "is_free": plan.is_free,
        "contact_sales": plan.contact_sales,
        "popular": plan.popular,
        "trial_days": plan.trial_days,
        "min_seats": plan.seats.min if plan.seats else None,
        "max_seats": plan.seats.max if plan.seats else None,
        "prices": [
            {
                "lookup_key": price.lookup_key,
                "amount": price.amount,
                "currency": price.currency,
                "interval": price.interval,
                "interval_count": price.interval_count,
                "per_seat": price.per_seat,
                "meter": price.meter,
            }
            for price in plan.prices
        ],
        "switches": sorted(plan.switches),
        "limits": plan.limits,
        "allowances": {
            key: {"quantity": allowance.quantity, "per": allowance.per}
            for key, allowance in plan.allowances.items()
        },
        "metered": sorted(plan.metered),
    }
