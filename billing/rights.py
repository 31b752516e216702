"""What the account of a request may do, asked once per request however many parts of the page want to know."""

from typing import cast

from django.http import HttpRequest

from accounts.requests import AccountRequest
from billing import clock, entitlements
from billing.entitlements import Entitlements


def of(request: HttpRequest) -> Entitlements:
    """Entitlements of `request.account` at the account's time. For doors that have an account."""
    asking = cast(AccountRequest, request)
    known: Entitlements | None = getattr(asking, "_rights", None)
    if known is None or known.account.pk != asking.account.pk:
        known = entitlements.of(asking.account, now=clock.now(asking.account))
        asking._rights = known  # type: ignore[attr-defined]
    return known
