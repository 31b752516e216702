"""The processes of the house: each in its own session, watched, named when it dies, all ended together."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, NoReturn

from config.bootstrap.install import ROOT
from config.bootstrap.words import CannotStart, complain, say

GRACE_SECONDS = 8
LAST_LINES = 15


class Stopped(Exception):
    """Somebody pressed Ctrl-C, closed the terminal or sent SIGTERM: not an error."""


class Household:
    """Several processes that live and end together. Leaving the block ends them all."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self.logs = logs
        self.environment = environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Household":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # already ending; a second Ctrl-C must not leave one behind
        if kind is Stopped:
            say("\nStopping …")
        self.end()

    def start(
        self, name: str, command: list[str], *, output: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start one; what it says goes to its log, the former log is kept as NAME.log.1."""
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(log.with_name(f"{name}.log.1"))
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output or out,
                stderr=out,
                start_new_session=True,  # so that Ctrl-C reaches us alone, and we end them in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        self._processes[name] = process
        return process

    def run(self, name: str, command: list[str]) -> str:
        """Run something that ends by itself, while the others are watched; answers what it said to people.

        Its standard output is the answer; its standard error is its log.

        Raises:
            CannotStart: it failed, or one of the others ended meanwhile.
        """
        answer = self.logs / f"{name}.out"
        with answer.open("wb") as out:
            process = self.start(name, command, output=out)
        while process.poll() != 0:
            self.complain_if_one_ended()
            time.sleep(0.05)
        del self._processes[name]
        return answer.read_text(errors="replace")

    def watch(self) -> NoReturn:
        """Until one ends by itself (CannotStart) or somebody stops us (Stopped)."""
        while True:
            self.complain_if_one_ended()
            time.sleep(0.2)

    def complain_if_one_ended(self) -> None:
        """Raises CannotStart with the name and the last words of a process that is no more."""
        for name, process in self._processes.items():
            status = process.poll()
            if status is not None:
                how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
                raise CannotStart(
                    f"{name} has ended ({how}). The end of {self.logs / name}.log:\n{self._tail(name)}"
                )

    def end(self) -> None:
        """Ask all to stop, and after eight seconds end what has not."""
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                complain(f"{process.args!r} did not stop in {GRACE_SECONDS} seconds and is killed.")
        self._signal_all(signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def _signal_all(self, number: signal.Signals) -> None:
        """To each whole session: a server's own children must not outlive it."""
        for process in self._processes.values():
            try:
                os.killpg(process.pid, number)
            except (ProcessLookupError, PermissionError):
                continue  # it and its children are gone

    def _tail(self, name: str) -> str:
        log = self.logs / f"{name}.log"
        if not log.exists():
            return f"    (its log {log} is gone: was var deleted while it ran? Start ./run again.)"
        lines = log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-LAST_LINES:]) or "    (it said nothing)"


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1  # prctl(2)


def _end_with_parent() -> None:
    """Runs in the child: should we be killed outright, the kernel asks it to stop; none is left behind."""
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped
