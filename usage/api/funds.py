"""What units come from and what they may cost: balances, credits, and budgets that customers set themselves."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query, Router, Schema
from pydantic import Field, WithJsonSchema

from accounts.models import Account, User
from billing import catalog, clock, currencies, entitlements
from billing.models import CreditGrant
from usage import budgets, metering
from usage.api.callers import Caller
from usage.api.problems import Problem, answer
from usage.api.shapes import Body, ProblemOut
from usage.api.standing import AccountParameter, caller_of
from usage.metering import spending
from usage.models import Budget, MemberBudget

router = Router(tags=["funds"])

ERRORS = dict.fromkeys((400, 401, 403, 404, 429), ProblemOut)
GRANTS_IN_AN_ANSWER = 100
_MONEY = {"type": "integer", "minimum": 0, "maximum": budgets.MOST_AMOUNT}
_UNITS = {"type": "integer", "minimum": 0, "maximum": budgets.MOST_UNITS}


def install(api: NinjaAPI) -> None:
    """Mount the addresses, and teach `api` to answer what they may raise."""
    api.add_router("", router)
    api.add_exception_handler(
        budgets.BadBudget, lambda request, error: answer(400, "invalid_budget", str(error))
    )


class FullBalanceOut(Schema):
    """One feature in the current window, with where its units came from."""

    feature: str
    name: str
    used: int = Field(description="All units of the window.")
    limit: int | None = Field(description="Where `used` will end as things stand; null: nowhere.")
    remaining: int | None
    reserved: int = Field(description="Held by work that is going on: neither used nor left.")
    included: int | None = Field(description="Units that come with the plan; null: unlimited.")
    rolled_over: int = Field(description="Units kept from windows before.")
    credited: int = Field(description="Of `used`, drawn from credits.")
    billed: int = Field(description="Of `used`, to be paid by the unit.")
    cost: int = Field(description="What they cost this billing month, in the currency's smallest unit.")
    is_metered: bool
    period_start: datetime
    period_end: datetime


class BalancesOut(Schema):
    account: uuid.UUID
    currency: str = Field(description="What the account pays in.")
    balances: list[FullBalanceOut]


class CreditOut(Schema):
    """Units bought ahead or given; drawn by priority (lower first), then by what ends first, then by age."""

    id: int
    feature: str
    units: int
    remaining: int
    priority: int
    source: str = Field(description="purchase, gift, refund or correction")
    granted_at: datetime
    expires_at: datetime | None


class CreditsOut(Schema):
    account: uuid.UUID
    credits: list[CreditOut] = Field(description="What can still be drawn on, in the order it will be.")


class MemberBudgetOut(Schema):
    member: str = Field(description="The member's e-mail address.")
    feature: str
    units: int = Field(description="At most so many in each window.")


class BudgetsOut(Schema):
    """What may be spent on units paid one by one in a billing month, and by single members."""

    account: uuid.UUID
    amount: int | None = Field(
        description="In the currency's smallest unit; null: no budget, the plan decides."
    )
    currency: str = Field(description="What the account pays in; the budget holds in it.")
    spent: int = Field(description="In this billing month so far.")
    members: list[MemberBudgetOut]


class BudgetIn(Body):
    """A new budget; null takes it away."""

    # Checked by budgets, which know what money is; the schema says the same to readers.
    amount: Annotated[Any, WithJsonSchema({"anyOf": [_MONEY, {"type": "null"}]})] = Field(
        description="In the currency's smallest unit, a billing month; 0: nothing is paid by the unit."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


class MemberBudgetIn(Body):
    """A new budget of one member; null takes it away."""

    member: str = Field(description="The member's e-mail address.", max_length=254)
    feature: str = Field(max_length=60)
    units: Annotated[Any, WithJsonSchema({"anyOf": [_UNITS, {"type": "null"}]})] = Field(
        description="At most so many in each window; 0: none."
    )
    account: uuid.UUID | None = Field(None, description="For whom; needed with a service key only.")


@router.get("/balances", response={200: BalancesOut, **ERRORS}, summary="Every balance with its sources")
def balances(request: HttpRequest, response: HttpResponse, account: AccountParameter = None) -> Any:
    """What is used and left of everything that is counted, and where the units came from."""
    acting = caller_of(request, response).acts_for(account)
    features = catalog.current().features
    return {
        "account": acting.pk,
        "currency": currencies.of(acting.pk),
        "balances": [
            {
                **{name: getattr(balance, name) for name in FullBalanceOut.model_fields if name != "name"},
                "name": features[balance.feature].name,
            }
            for balance in metering.balances(acting, now=clock.now(acting))
        ],
    }


@router.get("/credits", response={200: CreditsOut, **ERRORS}, summary="Credits that are left")
def list_credits(
    request: HttpRequest,
    response: HttpResponse,
    account: AccountParameter = None,
    feature: Annotated[str | None, Query(None, max_length=60)] = None,
) -> Any:
    """At most a hundred, in the order they are drawn on."""
    acting = caller_of(request, response).acts_for(account)
    there = CreditGrant.objects.filter(account=acting).usable(clock.now(acting))
    if feature is not None:
        there = there.filter(feature=feature.replace("\0", ""))
    return {"account": acting.pk, "credits": list(there.as_drawn()[:GRANTS_IN_AN_ANSWER])}


@router.get("/budgets", response={200: BudgetsOut, **ERRORS}, summary="Budgets and what is spent of them")
def get_budgets(request: HttpRequest, response: HttpResponse, account: AccountParameter = None) -> Any:
    """The account's budget in money and its members' budgets in units."""
    caller = caller_of(request, response)
    return _budgets(caller.acts_for(account), only=_narrowed(caller))


@router.put("/budgets", response={200: BudgetsOut, **ERRORS}, summary="Set or take away the budget")
def set_budget(request: HttpRequest, response: HttpResponse, body: BudgetIn) -> Any:
    """In force from the next act on. What was used already stays and is billed."""
    caller = caller_of(request, response)
    acting = _spender(caller, body.account)
    if body.amount is None:
        budgets.clear_budget(account=acting)
    else:
        budgets.set_budget(account=acting, amount=body.amount, now=clock.wall(), by=caller.user)
    return _budgets(acting)


@router.put(
    "/budgets/members", response={200: BudgetsOut, **ERRORS}, summary="Set or take away a member's budget"
)
def set_member_budget(request: HttpRequest, response: HttpResponse, body: MemberBudgetIn) -> Any:
    """In force from the member's next act on."""
    caller = caller_of(request, response)
    acting = _spender(caller, body.account)
    user = User.objects.filter(
        memberships__account=acting, email__iexact=body.member.replace("\0", "")
    ).first()
    if user is None:
        raise Problem(404, "not_found", "Nobody of this address is a member of the account.")
    if body.units is None:
        budgets.clear_member_budget(account=acting, user=user, feature=body.feature.replace("\0", ""))
    else:
        budgets.set_member_budget(
            account=acting,
            user=user,
            feature=body.feature,
            units=body.units,
            now=clock.wall(),
            by=caller.user,
        )
    return _budgets(acting)


def _spender(caller: Caller, account_id: uuid.UUID | None) -> Account:
    """The account, if this caller may decide about its money: a key by its scope, a person by their role."""
    acting = caller.acts_for(account_id)
    if caller.user is not None:
        member = acting.members.filter(user=caller.user).first()
        if member is None or not member.may_bill:
            raise Problem(403, "forbidden", "Only owners and admins set budgets. Ask one of them.")
    return acting


def _narrowed(caller: Caller) -> User | None:
    """A person who may not bill sees their own budget, as on the page; keys and admins see all."""
    if caller.user is None or caller.account is None:
        return None
    member = caller.account.members.filter(user=caller.user).first()
    return None if member is not None and member.may_bill else caller.user


def _budgets(account: Account, *, only: User | None = None) -> dict[str, Any]:
    rights = entitlements.of(account, now=clock.now(account))
    budget = Budget.objects.filter(account=account).first()
    members = MemberBudget.objects.filter(account=account).select_related("user").order_by("pk")
    if only is not None:
        members = members.filter(user=only)
    return {
        "account": account.pk,
        "amount": budget.amount if budget else None,
        "currency": rights.currency,
        "spent": spending.spent(rights),
        "members": [
            {"member": each.user.email, "feature": each.feature, "units": each.units} for each in members
        ],
    }
