"""For whom a request's person acts: `request.account`, `request.member`, and `request.memberships`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import cast
from uuid import UUID

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse

from accounts.models import Account, Member, User
from billing import clock, entitlements

SESSION_KEY = "account_id"


class AccountMiddleware:
    """Nothing is asked of the database until a view or a template looks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._types: dict[type[HttpRequest], type[HttpRequest]] = {}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A property of the request's class, because a lazy object that stands for None is not None.
        plain = type(request)
        if plain not in self._types:
            self._types[plain] = type(f"Account{plain.__name__}", (_ActsForAccount, plain), {})
        request.__class__ = self._types[plain]
        return self.get_response(request)


class _ActsForAccount:
    @cached_property
    def member(self) -> Member | None:
        """The membership in the chosen account, read anew on each request: who was removed is out at once.

        The account chosen last in this browser, else last in any; else the only one with a paid plan; else the
        personal one, else the one joined first.
        """
        return _chosen(cast("HttpRequest", self))

    @property
    def account(self) -> Account | None:
        return self.member.account if self.member else None

    @cached_property
    def memberships(self) -> list[Member]:
        """Every account this person may switch to, the personal one first."""
        return list(_memberships(cast("HttpRequest", self)))


def choose(request: HttpRequest, account: Account) -> None:
    """Act for `account` from now on in this browser, and begin with it at the next sign-in in any other."""
    request.session[SESSION_KEY] = str(account.pk)
    User.objects.filter(pk=cast("User", request.user).pk).update(last_account=account)


def _chosen(request: HttpRequest) -> Member | None:
    memberships = _memberships(request)
    if not request.user.is_authenticated:
        return None
    chosen = request.session.get(SESSION_KEY)
    if not chosen:
        # Once a session: what is found is what this browser acts for from here on, whatever is chosen in another.
        found = _begins_with(list(memberships), last=request.user.last_account_id)
        if found is not None:
            request.session[SESSION_KEY] = str(found.account_id)
        return found
    is_chosen = Case(When(account_id=chosen, then=Value(0)), default=Value(1), output_field=IntegerField())
    return memberships.alias(is_chosen=is_chosen).order_by("is_chosen", *memberships.query.order_by).first()


def _begins_with(memberships: list[Member], *, last: UUID | None) -> Member | None:
    """The account used `last`; else of several the only one with a paid plan, where the person is more than a guest."""
    used_last = next((member for member in memberships if member.account_id == last), None)
    if used_last is not None:
        return used_last
    if len(memberships) > 1:
        paying = [member for member in memberships if member.may_use and _has_paid_plan(member.account)]
        if len(paying) == 1:
            return paying[0]
    return memberships[0] if memberships else None


def _has_paid_plan(account: Account) -> bool:
    """Bought or given by staff; also one whose payment is missing, as that is what there is to see."""
    rights = entitlements.of(account, now=clock.now(account))
    return not rights.plan.is_free or (rights.subscription is not None and rights.subscription.is_live)


def _memberships(request: HttpRequest) -> QuerySet[Member]:
    user = request.user
    if not user.is_authenticated:
        return Member.objects.none()
    return (
        Member.objects.filter(user_id=user.pk)
        .select_related("account", "user")
        .alias(is_personal=Case(When(account__person_id=user.pk, then=Value(0)), default=Value(1)))
        .order_by("is_personal", "joined_at", "pk")
    )
