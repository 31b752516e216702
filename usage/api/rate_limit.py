"""No key makes more calls a minute than it may: counted in the shared cache, a handful at a time.

A process takes calls from the minute's budget in handfuls and spends them without asking again, so that a call costs
a twentieth of a round trip to the cache. What a process took and did not spend is lost when the minute ends, so the
limit is never exceeded, only missed by a handful for each process. This is courtesy, not money: when the cache is
away calls go through, and the log says so.
Headers: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (as widely used, before -08).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from accounts.models import ApiKey
from usage.api.problems import Problem

log = structlog.get_logger(__name__)

MINUTE = 60


@dataclass
class _Handful:
    """What this process holds of one key's minute."""

    minute: int = -1
    held: int = 0
    # Calls of the minute that nobody had taken when this process last asked.
    untaken: int = 0


def count(request: HttpRequest, key: ApiKey, *, now: datetime) -> None:
    """One call of `key`. Raises Problem 429 `rate_limited` when the minute's calls are used up."""
    limit: int = settings.API_CALLS_PER_MINUTE
    minute, second = divmod(int(now.timestamp()), MINUTE)
    handful = _handful_of(key.pk)
    if handful.minute != minute:
        handful.minute, handful.held, handful.untaken = minute, 0, limit
    if handful.held == 0:
        _take(handful, key, limit)
    seconds_left = MINUTE - second
    if handful.held == 0:
        raise Problem(
            429,
            "rate_limited",
            f"The key {key.name} has made its {limit:,} calls of this minute. Try again in {seconds_left} seconds; "
            "many acts fit into one call of /api/v1/usage/batch.",
            headers={"Retry-After": str(seconds_left), **_headers(limit, 0, seconds_left)},
        )
    handful.held -= 1
    request._rate_limit = _headers(limit, handful.held + handful.untaken, seconds_left)  # type: ignore[attr-defined]


def note(request: HttpRequest, response: HttpResponse) -> None:
    """Write on the answer how many calls are left."""
    for name, value in getattr(request, "_rate_limit", {}).items():
        response[name] = value


def _take(handful: _Handful, key: ApiKey, limit: int) -> None:
    size = max(1, min(20, limit // 20))
    name = f"api-calls:{key.pk}:{handful.minute}"
    try:
        cache.add(name, 0, timeout=2 * MINUTE)
        taken = cache.incr(name, size)
    except Exception as error:  # whatever the cache's client raises: the call goes through
        log.warning("rate_limit_not_counted", error=type(error).__name__)
        size, taken = limit, limit  # and it is not asked again in this minute
    handful.held = max(0, min(size, limit - (taken - size)))
    handful.untaken = max(0, limit - taken)


def _headers(limit: int, remaining: int, seconds_left: int) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(seconds_left),
    }


@lru_cache(maxsize=10_000)
def _handful_of(key_id: int) -> _Handful:
    return _Handful()
