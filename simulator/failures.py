"""Calls that go wrong on request: refused, lost on the way back, garbled, slow, or simply too many."""

from __future__ import annotations

import fnmatch
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.core import Answer

# The connection closes without an answer: the caller cannot know what happened.
HANG_UP: Answer = (0, {}, b"")
HOWS = ("error", "garbage", "slow")
SAID = "The simulator was told to fail this call."

# What Stripe's errors of a status look like (docs.stripe.com/error-codes, docs.stripe.com/error-low-level).
_KINDS = {
    409: ("idempotency_error", "idempotency_key_in_use"),
    429: ("invalid_request_error", "rate_limit"),
}


@dataclass
class Failure:
    """The next `times` calls that match go wrong, `before` they have any effect or `after` they had it."""

    method: str = "*"
    path: str = "*"  # with * for any text, such as /v1/subscriptions*
    when: str = "before"
    status: int = 500  # 0 closes the connection without an answer
    times: int = 1
    skip: int = 0  # this many matching calls are let through first: skip 2 fails the third
    delay_seconds: float = 0.0  # waits first, so that the caller's timeout can run out
    how: str = "error"  # error: `status`; garbage: 200 and half an answer; slow: the true answer, late

    def matches(self, method: str, path: str) -> bool:
        """Whether this call is one of those meant."""
        return self.times > 0 and self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path)


def failing(failure: Failure | None, call: Callable[[], Answer]) -> Answer:
    """The answer of `call`, or what the failure makes of it."""
    if failure is None:
        return call()
    if failure.delay_seconds and failure.when == "before":
        time.sleep(failure.delay_seconds)
    if failure.how == "slow":
        answer = call()
        if failure.delay_seconds and failure.when == "after":
            time.sleep(failure.delay_seconds)
        return answer
    if failure.when == "after":
        call()
        if failure.delay_seconds:
            time.sleep(failure.delay_seconds)
    if failure.how == "garbage":
        return 200, {"Content-Type": "application/json"}, b'{"id": "cus_<html>Bad gateway'
    if failure.status == 0:
        return HANG_UP
    return refusal(failure.status, SAID)


def refusal(status: int, message: str) -> Answer:
    """Stripe's error body for a status that is the server's doing."""
    kind, code = _KINDS.get(status, ("api_error", None))
    error = {"type": kind, "message": message, **({"code": code} if code else {})}
    headers = {"Content-Type": "application/json", "Request-Id": "req_failed_on_request"}
    return status, headers, json.dumps({"error": error}).encode()


@dataclass
class RateLimit:
    """At most `per_second` calls to the API in any second; 0 lets all through."""

    per_second: int = 0
    _seen: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refuses(self, now: float) -> Answer | None:
        """Stripe's 429 when this call, at `now` in seconds, is one too many; a refused one is not counted."""
        if not self.per_second:
            return None
        with self._lock:
            while self._seen and self._seen[0] <= now - 1:
                self._seen.popleft()
            if len(self._seen) < self.per_second:
                self._seen.append(now)
                return None
        message = "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        return refusal(429, message)
