"""What time it is for an object: its customer's test clock, or the wall clock plus the offset people
fast-forward by.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simulator.shapes import Obj, id_of
from simulator.store import Store

WALL = ""


class Clock:
    """Unix seconds on many timelines: one per test clock, and `WALL` for customers without one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._moments: dict[str, int] = {}

    @property
    def offset(self) -> int:
        """Seconds by which the wall timeline runs ahead of the real one."""
        return int(self._store.fact("offset", 0))

    def timeline(self, about: Obj | str | None) -> str:
        """The timeline of an object or customer id."""
        if about is None:
            return WALL
        if isinstance(about, str):
            about = self._store.get("customer", about)
            if about is None:
                return WALL
        own = id_of(about.get("test_clock"))
        if own is not None:
            return own
        customer = id_of(about.get("customer"))
        if customer:
            return self.timeline(customer)
        # Disputes and refunds name no customer: they happen to a charge, in its time.
        charge = id_of(about.get("charge"))
        return self.timeline(self._store.get("charge", charge)) if charge else WALL

    def now(self, about: Obj | str | None = None) -> int:
        """Unix seconds for an object, a customer id, or nobody in particular."""
        return self.on(self.timeline(about))

    def on(self, timeline: str) -> int:
        """Unix seconds on a timeline."""
        if timeline in self._moments:
            return self._moments[timeline]
        if timeline != WALL:
            clock: dict[str, Any] | None = self._store.get("test_helpers.test_clock", timeline)
            if clock is not None:
                return int(clock["frozen_time"])
        return int(time.time()) + self.offset

    @contextmanager
    def at(self, timeline: str, moment: int) -> Iterator[None]:
        """Lives at `moment` on one timeline for a while: what falls due happens at its own time."""
        before = self._moments.get(timeline)
        self._moments[timeline] = moment
        try:
            yield
        finally:
            if before is None:
                self._moments.pop(timeline, None)
            else:
                self._moments[timeline] = before
