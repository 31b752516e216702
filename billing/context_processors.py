"""What the plan includes, for templates: `{% if entitlements.sso %}`."""

from __future__ import annotations

from django.http import HttpRequest

from billing import catalog, rights


class Granted:
    """Asked by the name of a feature; nothing is asked of the database until a template does.

    True when the account has any of it: the switch is on, the limit or allowance is not zero, or it is paid by the
    unit. Nobody signed in has nothing.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __getitem__(self, feature: str) -> bool:
        kind = catalog.current().feature(feature).kind
        if getattr(self._request, "account", None) is None:
            return False
        granted = rights.of(self._request)
        if kind == "switch":
            return granted.includes(feature)
        if kind == "limit":
            return granted.limit(feature) != 0
        allowance = granted.allowance(feature)
        return granted.is_metered(feature) or (allowance is not None and allowance.quantity != 0)


def entitlements(request: HttpRequest) -> dict[str, Granted | str]:
    """`entitlements` in every template, and `help_address`, to whom somebody writes who is stuck on any page."""
    return {
        "entitlements": Granted(request),
        "help_address": catalog.current().company.support_email,
    }
