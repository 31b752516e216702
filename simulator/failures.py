"""Calls that go wrong on request: refused, lost on the way back, or slow."""

from __future__ import annotations

import fnmatch
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.core import Answer

HANG_UP: Answer = (
    0,
    {},
    b"",
)  # The connection closes without an answer: the caller cannot know what happened.


@dataclass
class Failure:
    """The next `times` calls that match go wrong, `before` they have any effect or `after` they had it."""

    method: str = "*"
    path: str = "*"  # with * for any text, such as /v1/subscriptions*
    when: str = "before"
    status: int = 500  # 0 closes the connection without an answer
    times: int = 1
    delay_seconds: float = 0.0  # waits first, so that the caller's timeout can run out

    def matches(self, method: str, path: str) -> bool:
        """Whether this call is one of those meant."""
        return self.times > 0 and self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path)


def failing(failure: Failure | None, call: Callable[[], Answer]) -> Answer:
    """The answer of `call`, or what the failure makes of it."""
    if failure is None:
        return call()
    if failure.delay_seconds:
        time.sleep(failure.delay_seconds)
    if failure.when == "after":
        call()
    if failure.status == 0:
        return HANG_UP
    kind, code = ("invalid_request_error", "rate_limit") if failure.status == 429 else ("api_error", None)
    error = {
        "type": kind,
        "message": "The simulator was told to fail this call.",
        **({"code": code} if code else {}),
    }
    headers = {"Content-Type": "application/json", "Request-Id": "req_failed_on_request"}
    return failure.status, headers, json.dumps({"error": error}).encode()
