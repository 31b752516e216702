"""How often one visitor may send a form that needs no log-in: counted by their address, for an hour."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

log = structlog.get_logger(__name__)

HOUR = 3600


def is_too_often(request: HttpRequest, what: str, *, most: int) -> bool:
    """Whether this visitor sends `what` for more than the `most`th time in an hour.

    When the cache is away nobody is turned away: these are forms that people have a right to.
    """
    name = f"{what}:{address(request)}"
    try:
        cache.add(name, 0, timeout=HOUR)
        return bool(cache.incr(name) > most)
    except Exception as error:  # whatever the cache's client raises
        log.warning("visitor_not_counted", what=what, error=type(error).__name__)
        return False


def address(request: HttpRequest) -> str:
    """The visitor's address: what the outermost of our own proxies saw (ALLAUTH_TRUSTED_PROXY_COUNT of them)."""
    ours: int = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
    passed_on = [part.strip() for part in forwarded.split(",")]
    if ours and len(passed_on) >= ours:
        return passed_on[-ours]
    return str(request.META.get("REMOTE_ADDR", ""))
