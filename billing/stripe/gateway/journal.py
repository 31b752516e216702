"""The last calls to Stripe and how many went wrong, of all processes: kept in the cache, for the operations page.

Only the method, the path and the outcome are kept: no parameter, no key, nothing of an answer.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache

log = structlog.get_logger(__name__)

CACHE = "operations"
LENGTH = 300
KEPT_SECONDS = 48 * 3600
# After a failure the cache is left alone so long: no call to Stripe waits for it twice.
REST_SECONDS = 30.0

COUNTED = ("calls", "errors", "no_answer", "rate_limited", "not_asked")


@dataclass(frozen=True)
class Call:
    """One call to Stripe. `status` 0: no answer. `at` is wall time in seconds since 1970."""

    at: float
    method: str
    path: str
    status: int
    milliseconds: int
    request_id: str
    process: str

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def is_error(self) -> bool:
        return not 200 <= self.status < 300


def note(*, method: str, path: str, status: int, milliseconds: int, request_id: str) -> None:
    """Remember one call. Never raises, and never waits long: what is not remembered is missed by nobody."""
    call = Call(time.time(), method, path, status, milliseconds, request_id, _process())
    what = ["calls"]
    if status == 429:
        what.append("rate_limited")
    elif status == 0 or status >= 500:
        what.append("no_answer")
    elif call.is_error:
        what.append("errors")
    _keep("call", asdict(call), what)


def note_not_asked() -> None:
    """A call was not made because the line rests."""
    _keep(None, {}, ["not_asked"])


def note_line(state: str) -> None:
    """The line of this process went to rest, is tried out, or is well again."""
    _keep("line", {"at": time.time(), "state": state, "process": _process()}, [])


def calls() -> list[Call]:
    """The last calls, newest first; empty when the cache is away."""
    return [Call(**kept) for kept in _kept("call")]


def lines() -> list[dict[str, Any]]:
    """What the lines of the processes did last, newest first: `at`, `state`, `process`."""
    return list(_kept("line"))


def counts(*, now: datetime, hours: int = 24) -> Counter[str]:
    """How many calls, refusals, failures and 429 there were in the last `hours` whole hours and this one."""
    this = int(now.timestamp()) // 3600
    names = {f"{what}:{this - back}": what for what in COUNTED for back in range(hours + 1)}
    total: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    for name, number in _get_many(list(names)).items():
        total[names[name]] += number
    return total


def try_again() -> None:
    """Ask the cache again at once, whatever it did lately."""
    global _rest_until
    _rest_until = 0.0


_rest_until = 0.0
_rest_lock = threading.Lock()


def _keep(kind: str | None, entry: dict[str, Any], what: list[str]) -> None:
    if time.monotonic() < _rest_until:
        return
    try:
        cache = caches[CACHE]
        if kind is not None:
            # A ring: the number is taken in one step, so that no two writers have the same place.
            number = _next(cache, f"{kind}:number", timeout=None)
            cache.set(f"{kind}:{number % LENGTH}", entry, timeout=KEPT_SECONDS)
        hour = int(time.time()) // 3600
        for name in what:
            _next(cache, f"{name}:{hour}", timeout=KEPT_SECONDS)
    except (
        Exception
    ) as error:  # whatever the cache's client raises must not become a failure of a call to Stripe
        _rest(error)


def _next(cache: BaseCache, name: str, *, timeout: float | None) -> int:
    """Counts on. Nearly always there is a count already, and a look before would be one more way to the cache."""
    try:
        return cache.incr(name)
    except ValueError:
        cache.add(name, 0, timeout=timeout)
        return cache.incr(name)


def _kept(kind: str) -> Iterator[dict[str, Any]]:
    found = _get_many([f"{kind}:{number}" for number in range(LENGTH)]).values()
    yield from sorted(found, key=lambda entry: -entry["at"])


def _get_many(names: list[str]) -> dict[str, Any]:
    try:
        return caches[CACHE].get_many(names)
    except Exception as error:  # a page about what is broken must not break with it
        _rest(error)
        return {}


def _rest(error: Exception) -> None:
    global _rest_until
    with _rest_lock:
        if time.monotonic() < _rest_until:
            return
        _rest_until = time.monotonic() + REST_SECONDS
    log.warning("stripe_journal_away", error=type(error).__name__)


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
