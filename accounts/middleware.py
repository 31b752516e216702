"""For whom a request's person acts: `request.account`, `request.member`, and `request.memberships`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import cast

from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse

from accounts.models import Account, Member

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

        The account chosen last, else the personal one, else the one joined first.
        """
        return _chosen(cast("HttpRequest", self))

    @property
    def account(self) -> Account | None:
        return self.member.account if self.member else None

    @cached_property
    def memberships(self) -> list[Member]:
        """Every account this person may switch to, the personal one first."""
        return list(_memberships(cast("HttpRequest", self)))


def _chosen(request: HttpRequest) -> Member | None:
    chosen = request.session.get(SESSION_KEY)
    memberships = _memberships(request)
    if chosen:
        memberships = memberships.alias(
            is_chosen=Case(
                When(account_id=chosen, then=Value(0)), default=Value(1), output_field=IntegerField()
            )
        ).order_by("is_chosen", *memberships.query.order_by)
    return memberships.first()


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
