"""What goes wrong with calls to Stripe's meters, decided by chance; a call that is sent again meets the same fate."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.core import Simulator

EVENTS = "/v1/billing/meter_events"
DROPPED, TOO_MANY, FAILED = 0.10, 0.10, 0.05


@dataclass
class Storm:
    """What goes wrong with calls to the meter, decided by chance from the seed and the call's idempotency key."""

    seed: int
    fates: Counter[str] = field(default_factory=Counter)
    _keys: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fate(self, key: str) -> str:
        chance = random.Random(f"{self.seed}:{key}").random()
        fate = "answered"
        for name, share in (
            ("dropped after effect", DROPPED),
            ("429", TOO_MANY),
            ("500 before effect", FAILED / 2),
            ("500 after effect", FAILED / 2),
        ):
            if chance < share:
                fate = name
                break
            chance -= share
        with self._lock:
            if key not in self._keys:
                self._keys.add(key)
                self.fates[fate] += 1
        return fate


@contextmanager
def raging(simulator: Simulator, storm: Storm) -> Iterator[None]:
    """Let the storm rage at the simulator's meters while the block lasts."""
    from simulator.failures import HANG_UP, refusal

    calm = simulator.handle

    def handle(
        method: str, path: str, query: Any = "", body: bytes = b"", headers: Any = None
    ) -> tuple[int, dict[str, str], bytes]:
        key = {name.lower(): value for name, value in (headers or {}).items()}.get("idempotency-key", "")
        if method != "POST" or path != EVENTS:
            return calm(method, path, query, body, headers)
        fate = storm.fate(key)
        if fate == "429":
            return refusal(429, "The storm.")
        if fate == "500 before effect":
            return refusal(500, "The storm.")
        answer = calm(method, path, query, body, headers)
        if fate == "dropped after effect":
            return HANG_UP
        return refusal(500, "The storm.") if fate == "500 after effect" else answer

    simulator.handle = handle  # type: ignore[method-assign]
    try:
        yield
    finally:
        del simulator.handle
