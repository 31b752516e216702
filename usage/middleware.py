"""A call with a key of its own needs no session, no CSRF token and no messages: it goes straight to the API."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, ResolverMatch, resolve

from usage.api import problems, rate_limit

API_PREFIX = "/api/v1/"


class KeyedApiMiddleware:
    """Stands before the session's middleware and skips all that follow, for `Authorization: Bearer` calls to the API.

    Such a request has no `user`, so a browser's cookie can never lend its rights to a call with a key.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        response = self._answer(request)
        rate_limit.note(request, response)
        return problems.from_elsewhere(response)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if not _has_key(request):
            return self.get_response(request)
        try:
            match = _match(request.path_info, settings.ROOT_URLCONF)
        except Resolver404:
            return problems.nothing_here()
        request.resolver_match = match
        response: Any = match.func(request, *match.args, **match.kwargs)
        assert isinstance(response, HttpResponse)
        # Skipped with the others: without it the server would send the answer in chunks.
        response.headers.setdefault("Content-Length", str(len(response.content)))
        return response


@lru_cache(maxsize=1_000)
def _match(path: str, urlconf: str) -> ResolverMatch:
    """The site's patterns are tried one after the other, for each call anew; programs ask the same few addresses."""
    return resolve(path, urlconf)


def _has_key(request: HttpRequest) -> bool:
    return str(request.META.get("HTTP_AUTHORIZATION", ""))[:7].lower() == "bearer "
