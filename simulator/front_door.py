"""Where every call comes in, by socket or in process: API, control and pages told apart, logged, failed."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from simulator import control, pages
from simulator.failures import Failure, RateLimit, failing

if TYPE_CHECKING:
    from simulator.core import Answer, Simulator

LOG_LENGTH = 1000


@dataclass
class Logged:
    """One call as the log remembers it: no keys, no card numbers."""

    at: float
    method: str
    path: str
    query: str
    body: str
    idempotency_key: str | None
    status: int = 0
    request_id: str | None = None
    milliseconds: float = 0.0
    failure: str | None = None


@dataclass
class FrontDoor:
    """`handle` answers any call to the simulator; there is one door to a house (`of`)."""

    simulator: Simulator
    log: deque[Logged] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    failures: list[Failure] = field(default_factory=list)
    limit: RateLimit = field(default_factory=RateLimit)
    forgotten_returns: set[str] = field(default_factory=set)  # pages whose visitor never comes back
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Status, headers and body for a call; status 0 means: hang up. Header names come in lower case."""
        if path.startswith("/_sim/"):
            return control.respond(self, method, path, query, body)
        if path.startswith(("/v1/", "/v2/")):
            return self._api(method, path, query, body, headers)
        return pages.respond(self, method, path, query, body)

    def requests(self) -> list[dict[str, Any]]:
        """The calls to the API, newest first."""
        with self._lock:
            return [asdict(entry) for entry in reversed(self.log)]

    def fail(self, failure: Failure) -> None:
        """Let calls go wrong from now on, until the failure has been used up."""
        with self._lock:
            self.failures.append(failure)

    def forget(self) -> None:
        """Empty the log and call off everything that was to go wrong."""
        with self._lock:
            self.log.clear()
            self.failures.clear()
            self.limit = RateLimit()
            self.forgotten_returns.clear()

    def _api(self, method: str, path: str, query: str, body: bytes, headers: dict[str, str]) -> Answer:
        entry = Logged(time.time(), method, path, query, _shown(body), headers.get("idempotency-key"))
        refused = self.limit.refuses(entry.at)
        failure = None if refused else self._failure_for(method, path)
        began = time.perf_counter()
        answer = refused or failing(
            failure, lambda: self.simulator.handle(method, path, query, body, headers)
        )
        entry.milliseconds = round((time.perf_counter() - began) * 1000, 2)
        entry.status = answer[0]
        entry.request_id = next(
            (value for name, value in answer[1].items() if name.lower() == "request-id"), None
        )
        entry.failure = "rate limit" if refused else f"{failure.when} effect" if failure else None
        with self._lock:
            self.log.append(entry)
        return answer

    def _failure_for(self, method: str, path: str) -> Failure | None:
        with self._lock:
            for failure in self.failures:
                if failure.matches(method, path):
                    if failure.skip > 0:
                        failure.skip -= 1
                        continue
                    failure.times -= 1
                    self.failures = [left for left in self.failures if left.times > 0]
                    return failure
        return None


_DOORS: weakref.WeakKeyDictionary[Simulator, FrontDoor] = weakref.WeakKeyDictionary()
_DOORS_LOCK = threading.Lock()


def of(simulator: Simulator) -> FrontDoor:
    """The door of this simulator."""
    with _DOORS_LOCK:
        return _DOORS.setdefault(simulator, FrontDoor(simulator))


_CARD = re.compile(rb"(number(?:%5D|\])?=)\d+")


def _shown(body: bytes) -> str:
    return _CARD.sub(rb"\1masked", body[:4000]).decode("utf-8", "replace")
