"""Sender processes that can be killed at any moment and replaced within milliseconds.

Run as `python -m soaks.senders`: it loads the house once and forks one sender for every line on stdin, whose process id
it answers with. A fork is a process of its own, with connections of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

# A sender comes back for more so often.
PAUSE_SECONDS = 0.02


class Senders:
    """So many senders at once. `kill_one` ends one without warning and puts another in its place."""

    def __init__(self, nursery: subprocess.Popen[str], number: int) -> None:
        self._nursery = nursery
        assert self._said() == "ready"
        self.alive = [self._begin() for _ in range(number)]
        self.kills = 0

    def kill_one(self, which: int) -> None:
        """Kill the sender at this place, counted round, with SIGKILL."""
        place = which % len(self.alive)
        os.kill(self.alive[place], signal.SIGKILL)
        self.kills += 1
        self.alive[place] = self._begin()

    def end(self) -> None:
        for pid in self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(10)

    def _begin(self) -> int:
        assert self._nursery.stdin is not None
        self._nursery.stdin.write("go\n")
        self._nursery.stdin.flush()
        return int(self._said())

    def _said(self) -> str:
        assert self._nursery.stdout is not None
        return self._nursery.stdout.readline().strip()


@contextlib.contextmanager
def running(number: int, *, environment: dict[str, str]) -> Iterator[Senders]:
    """So many senders while the block lasts. `environment` names the database and Stripe, as for any process."""
    nursery = subprocess.Popen(
        [sys.executable, "-m", "soaks.senders"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment, "LOG_LEVEL": "CRITICAL"},
        text=True,
    )
    senders = Senders(nursery, number)
    try:
        yield senders
    finally:
        senders.end()


def main() -> None:
    import django

    django.setup()
    from billing import clock
    from usage import meters

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the killed
    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            nursery = os.getppid()
            while os.getppid() == nursery:  # nobody is left alone
                meters.deliver(now=clock.wall(), seconds=5)
                time.sleep(PAUSE_SECONDS)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
