"""./run for real: a copy of this checkout is started, opened, and stopped with Ctrl-C."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.bootstrap.install import ROOT
from tests.servers import free_port

LEFT_BEHIND = (".git", ".venv", ".env", "var", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache")
READY_SECONDS = 90

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


class House:
    """One `./run` in a folder of its own."""

    wanted_port = 0

    def __init__(self, folder: Path, **environment: str) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "run")],
            env={**ours, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def url(self) -> str:
        """Waits until the house says that it is ready."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"Ready after [\d.]+ s: (\S+)", "".join(self.lines))
            if found:
                return found[1]
            assert self.process.poll() is None, "".join(self.lines)
            time.sleep(0.05)
        raise AssertionError("not ready: " + "".join(self.lines))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.process.wait(40)
        self._reader.join(5)
        return status


OURS = (
    "STRIPE",
    "DATABASE_URL",
    "REDIS_URL",
    "TALLYHOUSE",
    "BASE_URL",
    "DEBUG",
    "DEMO",
    "SECRET",
    "ALLOWED",
    "DJANGO",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout with nothing started in it yet, on the packages that are installed already."""
    copy = tmp_path_factory.mktemp("run") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    (copy / ".venv").symlink_to(Path(sys.prefix))
    return copy


@pytest.fixture
def house(checkout: Path) -> Iterator[House]:
    """Started, and stopped when the test is over; its first wish for a port cannot be met."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        started = House(checkout, PORT=str(busy.getsockname()[1]), SIMULATOR_PORT=str(free_port()))
        started.wanted_port = busy.getsockname()[1]
        yield started
        started.stop()


def test_a_founder_starts_the_house_opens_it_and_stops_it(house: House, checkout: Path) -> None:
    url = house.url()

    assert int(url.rpartition(":")[2]) > house.wanted_port
    assert _get(f"{url}/healthz") == 200
    assert _ready(url)["status"] == "ready"
    assert "Sign in as ada@example.com" in "".join(house.lines)
    assert _get(f"{url}/") == 200
    assert house.stop(signal.SIGINT) == 0
    with pytest.raises(urllib.error.URLError):
        _get(f"{url}/healthz")
    assert not _processes_in(checkout)


def test_starting_twice_at_once_says_where_the_first_one_is(house: House, checkout: Path) -> None:
    url = house.url()

    second = House(checkout)

    assert second.ended() == 1
    assert f"It is running already: {url}" in "".join(second.lines)
    assert house.stop(signal.SIGTERM) == 0


def test_a_process_that_dies_is_named_and_ends_the_rest(house: House, checkout: Path) -> None:
    house.url()
    simulator = next(pid for pid, command in _processes_in(checkout).items() if "-m simulator" in command)

    os.kill(simulator, signal.SIGKILL)

    assert house.ended() == 1
    assert "simulator has ended (killed by SIGKILL)" in "".join(house.lines)
    assert not _processes_in(checkout)


def _get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return int(answer.status)


def _ready(url: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
        return dict(json.load(answer))


def _processes_in(checkout: Path) -> dict[int, str]:
    """Processes whose working directory is the checkout, by id. Needs Linux's /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == checkout.resolve() and (entry / "stat").read_text().split()[
                2
            ] != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # ended while we looked, or somebody else's
    return found
