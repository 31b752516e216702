"""Budgets: money for units paid one by one, and units for single members; owners and admins set them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.decorators import account_required, billing_admin_required
from accounts.models import Account, Member, User
from accounts.requests import AccountRequest
from billing import catalog, clock, currencies, entitlements, money
from billing.catalog import Feature
from usage import budgets, metering
from usage.metering import holding, spending
from usage.models import Budget, MemberBudget, MemberCounter
from usage.views.budget_forms import BudgetForm, MemberBudgetForm


@dataclass(frozen=True)
class Line:
    """One member's budget as the page shows it; `used` is of the running window, None while nothing is granted; `held`
    by work of the member that is going on."""

    budget: MemberBudget
    member: Member
    feature: Feature
    used: int | None
    held: int
    per: str


@require_GET
@never_cache
@account_required
def overview(request: AccountRequest) -> HttpResponse:
    """All budgets for who may set them; for others their own."""
    return _page(request)


@require_POST
@never_cache
@billing_admin_required
def set_budget(request: AccountRequest) -> HttpResponse:
    """Set the account's budget to the posted `amount`."""
    form = BudgetForm(request.POST, currency=currencies.of(request.account.pk))
    if not form.is_valid():
        return _page(request, form=form, status=422)
    account = request.account
    budget = budgets.set_budget(
        account=account, amount=form.cleaned_data["amount"], now=clock.now(account), by=request.user
    )
    sum_text = money.text(budget.amount, budget.currency)
    messages.success(request, f"At most {sum_text} a month is charged for units from now on.")
    return redirect("usage:budgets")


@require_POST
@never_cache
@billing_admin_required
def clear_budget(request: AccountRequest) -> HttpResponse:
    """Take the account's budget away."""
    if budgets.clear_budget(account=request.account):
        messages.success(request, "The budget is removed. Units are paid as they are used, without an end.")
    return redirect("usage:budgets")


@require_POST
@never_cache
@billing_admin_required
def set_member_budget(request: AccountRequest) -> HttpResponse:
    """Set what one member may use of one feature per window."""
    account = request.account
    form = MemberBudgetForm(request.POST, account=account)
    if not form.is_valid():
        return _page(request, member_form=form, status=422)
    try:
        budget = budgets.set_member_budget(
            account=account,
            user=form.cleaned_data["member"].user,
            feature=form.cleaned_data["feature"],
            units=form.cleaned_data["units"],
            now=clock.now(account),
            by=request.user,
        )
    except budgets.BadBudget as refusal:
        form.add_error(None, str(refusal))
        return _page(request, member_form=form, status=422)
    words = money.quantity(budget.units, budgets.countable()[budget.feature])
    messages.success(request, f"{_name(form.cleaned_data['member'].user)} may use {words} from now on.")
    return redirect("usage:budgets")


@require_POST
@never_cache
@billing_admin_required
def clear_member_budget(request: AccountRequest) -> HttpResponse:
    """Take one budget of a member away; the posted `budget` names it."""
    name = request.POST.get("budget", "")
    known = MemberBudget.objects.filter(account=request.account).select_related("user")
    budget = (
        known.filter(pk=int(name)).first() if name.isascii() and name.isdigit() and len(name) < 19 else None
    )
    if budget is None:
        messages.info(request, "That budget was removed before.")
    else:
        budgets.clear_member_budget(account=request.account, user=budget.user, feature=budget.feature)
        messages.success(request, f"{_name(budget.user)} may use what {request.account.name} has.")
    return redirect("usage:budgets")


def _page(
    request: AccountRequest,
    *,
    form: BudgetForm | None = None,
    member_form: MemberBudgetForm | None = None,
    status: int = 200,
) -> HttpResponse:
    account, may_bill = request.account, request.member.may_bill
    now = clock.now(account)
    rights = entitlements.of(account, now=now)
    budget = Budget.objects.filter(account=account).select_related("set_by").first()
    lines = _lines(account, rights, only=None if may_bill else request.user)
    return render(
        request,
        "usage/budgets.html",
        {
            "may_bill": may_bill,
            "currency": rights.currency,
            "budget": budget,
            "spent": spending.spent(rights),
            "month": spending.month(rights),
            "prices": spending.prices(rights),
            "sells_units": any(plan.metered for plan in catalog.current().for_sale()),
            "form": form or BudgetForm(currency=rights.currency, budget=budget),
            "lines": lines,
            "has_members": account.kind == Account.Kind.ORGANIZATION and bool(budgets.countable()),
            "member_form": member_form or MemberBudgetForm(account=account),
        },
        status=status,
    )


def _lines(account: Account, rights: entitlements.Entitlements, *, only: User | None) -> list[Line]:
    members = {member.user_id: member for member in account.members.select_related("user")}
    found = MemberBudget.objects.filter(account=account, user__in=members).order_by("user__name", "pk")
    starts, features = {}, budgets.countable()
    for balance in metering.balances(account, now=rights.now, rights=rights):
        starts[balance.feature] = balance.period_start
    lines = []
    for budget in found if only is None else found.filter(user=only):
        if budget.feature not in features:
            continue  # the price list does not count it any more
        start = starts.get(budget.feature)
        allowance = rights.allowance(budget.feature)
        lines.append(
            Line(
                budget=budget,
                member=members[budget.user_id],
                feature=features[budget.feature],
                used=None if start is None else _used(budget, since=start),
                held=0 if start is None else _held(budget, since=start, now=rights.now),
                per=allowance.per if allowance else "month",
            )
        )
    return lines


def _used(budget: MemberBudget, *, since: datetime) -> int:
    counter = MemberCounter.objects.filter(
        account=budget.account_id, user=budget.user_id, feature=budget.feature, period_start=since
    ).first()
    return counter.used if counter else 0


def _held(budget: MemberBudget, *, since: datetime, now: datetime) -> int:
    return holding.held_by(
        budget.user_id,
        account_id=budget.account_id,
        feature=budget.feature,
        period_start=since,
        now=now,
    )


def _name(user: User) -> str:
    return user.name or user.email
