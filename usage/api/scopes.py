"""Which scope a call needs, read off its method and address, so that no route can forget to ask."""

from __future__ import annotations

from django.http import HttpRequest

from accounts.models import ApiKey, Scope
from usage.api.problems import Problem

# The longest beginning decides; what is not named here counts units.
WRITING = {
    "/api/v1/gauges": Scope.STANDING,
    "/api/v1/slots": Scope.STANDING,
    "/api/v1/budgets": Scope.BUDGETS,
}
# Asking what something would take changes nothing, whatever the method.
ASKING = ("/api/v1/usage/estimate", "/api/v1/estimate")


def needed(request: HttpRequest) -> Scope:
    """The scope this call needs."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.path_info.startswith(ASKING):
        return Scope.READ
    found = (scope for beginning, scope in WRITING.items() if request.path_info.startswith(beginning))
    return next(found, Scope.COUNT)


def check(request: HttpRequest, key: ApiKey) -> None:
    """Raises Problem 403 `scope_missing`."""
    scope = needed(request)
    if scope not in key.scopes:
        raise Problem(
            403,
            "scope_missing",
            f"The key {key.name} may not do this: it lacks the scope {scope}. Make a key that has it.",
            scope=str(scope.value),
        )
