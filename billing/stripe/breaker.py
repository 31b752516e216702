"""The line to Stripe rests when nobody answers: a circuit breaker, one for each process.

Each process finds out for itself, in its memory, because the breaker must work in the very hour in which other things
fail too: a shared one would make every call wait for a cache or the database, and a broken cache would break calls to a
healthy Stripe. The price is that each process makes its own few calls in vain (docs/decisions/0008).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum

# So many calls in a row without an answer, or so long waited for nothing, and the line rests.
MOST_FAILURES = 5
LONGEST_WAIT_SECONDS = 30.0
# How long it rests, doubled each time the call that tries it out fails too.
REST_SECONDS = 10.0
LONGEST_REST_SECONDS = 80.0
# Who tries the line out and does not come back by then is forgotten, and the next one tries.
PROBE_SECONDS = 60.0


class State(StrEnum):
    CLOSED = "closed"  # calls go through
    OPEN = "open"  # no call is made
    HALF_OPEN = "half_open"  # one call tries the line out; the others wait for what it finds


class Resting(Exception):
    """No call was made, because the last ones got no answer. `seconds`: how long until one is tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Stripe has not answered lately; it is asked again in {max(1, round(seconds))} s.")
        self.seconds = seconds


class Breaker:
    """Safe to use from many threads. Whoever was let through by `enter` says `answered` or `failed` after it."""

    def __init__(
        self,
        *,
        watch: Callable[[], float] = time.monotonic,
        on_change: Callable[[State], None] = lambda state: None,
    ) -> None:
        """`watch` shows seconds that never go back; `on_change` is told of every change, outside the lock."""
        self._watch = watch
        self._on_change = on_change
        self._start_over()

    def _start_over(self) -> None:
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0
        self._waited = 0.0
        self._rest = REST_SECONDS
        # Until when nobody is let through: the rest's end, or the probe's.
        self._until = 0.0

    @property
    def state(self) -> State:
        return self._state

    def is_resting(self) -> bool:
        """Would a call be refused at this moment?"""
        return self._state != State.CLOSED and self._watch() < self._until

    def enter(self) -> None:
        """Ask to make a call. Raises Resting; after a rest the first to ask is let through, to try the line out."""
        with self._lock:
            if self._state == State.CLOSED:
                return
            left = self._until - self._watch()
            if left > 0:
                raise Resting(left)
            self._until = self._watch() + PROBE_SECONDS
            self._state = State.HALF_OPEN
        self._on_change(State.HALF_OPEN)

    def answered(self) -> None:
        """Stripe has answered, be it with a refusal: the line is well."""
        if self._state == State.CLOSED and not self._failures:
            return
        with self._lock:
            was = self._state
            self._state = State.CLOSED
            self._failures, self._waited, self._rest = 0, 0.0, REST_SECONDS
        if was != State.CLOSED:
            self._on_change(State.CLOSED)

    def failed(self, *, waited: float) -> None:
        """No answer, or none of Stripe's making, after `waited` seconds."""
        with self._lock:
            self._failures += 1
            self._waited += waited
            if self._state == State.OPEN:
                return  # a call that was under way when the line went to rest
            if self._state == State.HALF_OPEN:
                self._rest = min(2 * self._rest, LONGEST_REST_SECONDS)
            elif self._failures < MOST_FAILURES and self._waited < LONGEST_WAIT_SECONDS:
                return
            self._state = State.OPEN
            self._until = self._watch() + self._rest
        self._on_change(State.OPEN)

    def forget(self) -> None:
        """Begin anew, as a new process does; after a fork too, where the lock may have been held by the parent."""
        self._start_over()
