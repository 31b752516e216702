"""A tap on the workers' shoulder, from a thread of its own, so that no request ever waits for the broker.

A nudge only saves time. The rows are the queue, and the beat's sweep finds whatever no nudge announced, so
one that cannot be sent is dropped with a line in the log.
"""

from __future__ import annotations

import os
import threading
import time

import structlog
from celery import current_app

log = structlog.get_logger(__name__)

READ_LETTERS = "billing.tasks.read_letters"
DELIVER_EFFECTS = "billing.tasks.deliver_effects"
DELIVER_NOTIFICATIONS = "accounts.tasks.deliver_notifications"

# Between two nudges, so that a burst of letters is some nudges a second and not one each.
PAUSE_SECONDS = 0.05
# After a failure the broker is left alone this long. What is wanted meanwhile is sent then, once.
REST_SECONDS = 5.0


def workers(task: str, *, after_seconds: float = 0.0) -> None:
    """Ask for one run of `task`, now or in a while. Returns at once, never raises; many asks become one run.

    Call it in `transaction.on_commit`: the run must find what was written.
    """
    _nudger_of_this_process().want(task, after_seconds)


class _Nudger(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="nudge", daemon=True)
        self._changed = threading.Condition()
        # Task name → the earliest moment (monotonic) it is wanted at.
        self._wanted: dict[str, float] = {}
        self._rest_until = 0.0

    def want(self, task: str, after_seconds: float) -> None:
        moment = time.monotonic() + after_seconds
        with self._changed:
            if moment < self._wanted.get(task, float("inf")):
                self._wanted[task] = moment
                self._changed.notify()

    def run(self) -> None:
        while True:
            task = self._next()
            try:
                current_app.send_task(task, ignore_result=True, retry=False)
                self._rest_until = time.monotonic() + PAUSE_SECONDS
            except Exception as error:  # whatever the broker's client raises: the sweep is the safety net
                self._rest_until = time.monotonic() + REST_SECONDS
                log.warning("nudge_not_sent", task=task, error=f"{type(error).__name__}: {error}")

    def _next(self) -> str:
        """Wait for a task to be due, and take it off the list *before* it is sent: what is wanted from here
        on may be about rows this run will not see, and is sent again.
        """
        with self._changed:
            while True:
                due = min(
                    ((max(at, self._rest_until), task) for task, at in self._wanted.items()), default=None
                )
                now = time.monotonic()
                if due and due[0] <= now:
                    del self._wanted[due[1]]
                    return due[1]
                self._changed.wait(due[0] - now if due else None)


_lock = threading.Lock()
_nudger: _Nudger | None = None


def _nudger_of_this_process() -> _Nudger:
    global _nudger
    with _lock:
        if _nudger is None or not _nudger.is_alive():
            _nudger = _Nudger()
            _nudger.start()
        return _nudger


def _start_anew_after_fork() -> None:
    """Threads do not survive a fork, and the parent may have held the lock while forking."""
    global _lock, _nudger
    _lock, _nudger = threading.Lock(), None


os.register_at_fork(after_in_child=_start_anew_after_fork)
