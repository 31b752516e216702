"""Start the whole house: simulator, database, price list, web and worker; say where it is; stop it all."""

import fcntl
import json
import os
import time
import urllib.error
import urllib.request
from typing import IO

from config.bootstrap import environment, install
from config.bootstrap.environment import Place
from config.bootstrap.processes import Household, Stopped
from config.bootstrap.words import CannotStart, say

READY_SECONDS = 90


def start() -> int:
    """Run until Ctrl-C or SIGTERM (0) or until a process ends by itself (1).

    Raises:
        CannotStart: a sentence for the person at the terminal.
    """
    began = time.monotonic()
    python = str(install.ensure())
    settings = environment.read()
    where = environment.place(settings)
    with where.running.open("a+") as lock:
        _refuse_a_second_house(lock)
        web, simulator = environment.ports(settings)
        _write(lock, web, simulator)
        told = environment.for_children(settings, where, web=web, simulator=simulator)
        try:
            with Household(where.logs, told) as household:
                said = _start_all(household, python, where, web=web)
                _welcome(where, told, said, time.monotonic() - began)
                household.watch()
        except Stopped:
            return 0


def _start_all(household: Household, python: str, where: Place, *, web: int) -> str:
    """Everything up and answering; what the start-up command said, for the person to read."""
    if "SIMULATOR_PORT" in household.environment:
        household.start("simulator", [python, "-m", "simulator"])
    # The web process imports while the tables are made; its address is told to nobody before all is ready.
    household.start("web", _web(python, web))
    said = household.run("start-up", [python, "manage.py", "start_up"])
    household.start("worker", _worker(python, where))
    _wait_until_ready(household, web)
    return said


def environment_for_commands() -> dict[str, str]:
    """What `./run manage` runs with: the same database and Stripe as the house that runs, or would run."""
    settings = environment.read()
    where = environment.place(settings)
    web, simulator = environment.remembered_ports(where) or environment.ports(settings)
    return environment.for_children(settings, where, web=web, simulator=simulator)


def _refuse_a_second_house(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        port = json.loads(lock.read() or "{}").get("web", "its port")
        raise CannotStart(
            f"It is running already: http://127.0.0.1:{port} . Stop that one first (Ctrl-C where it runs) or "
            "set BILLING_CATALOG or TALLYHOUSE_VAR to run another beside it."
        ) from None


def _write(lock: IO[str], web: int, simulator: int) -> None:
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "web": web, "simulator": simulator}))
    lock.flush()


def _web(python: str, port: int) -> list[str]:
    # One process with threads: SQLite has one writer anyway, and a second process would cost a second start.
    command = [python, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    return [
        *command,
        "--workers",
        "1",
        "--blocking-threads",
        "8",
        "--log-level",
        "error",
        "config.wsgi:application",
    ]


def _worker(python: str, where: Place) -> list[str]:
    # Beat inside the worker (-B) suits one machine only; in production it is a process of its own (Procfile).
    command = [
        python,
        "-m",
        "celery",
        "--app",
        "config.celery",
        "worker",
        "--pool",
        "threads",
        "--concurrency",
        "4",
    ]
    schedule = ["-B", "--schedule", str(where.folder / "beat-schedule")]
    return [*command, *schedule, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]


def _wait_until_ready(household: Household, port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    answer: dict[str, object] = {}
    while time.monotonic() < deadline:
        household.complain_if_one_ended()
        answer = _ask(f"http://127.0.0.1:{port}/readyz") or answer
        if answer.get("status") == "ready":
            return
        time.sleep(0.1)
    raise CannotStart(
        f"Not ready after {READY_SECONDS} seconds. /readyz: {json.dumps(answer) if answer else 'nothing'}."
        f" The logs are in {household.logs}."
    )


def _ask(url: str) -> dict[str, object] | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _readable(refusal.read())
    except (OSError, ValueError):
        return None


def _readable(body: bytes) -> dict[str, object] | None:
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError):
        return None


def _welcome(where: Place, told: dict[str, str], said: str, seconds: float) -> None:
    say()
    say(f"Ready after {seconds:.1f} s: {told['BASE_URL']}   (price list: {where.catalog})")
    if "SIMULATOR_PORT" in told:
        say(f"Stripe stand-in: {told['STRIPE_API_BASE']}   Card 4242 4242 4242 4242 pays, any date and code.")
    if said.strip():
        say(said.strip())
    say(f"Logs: {where.logs}   Ctrl-C stops everything.")
