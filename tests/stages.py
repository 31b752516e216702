"""What each stage of `./run test` runs, and on which database. When it runs is said in tests/everything.py."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests import chromium, servers
from tests.contract import live
from tests.simulator import npm

BIN = Path(sys.executable).parent
# No journey is skipped for want of a browser, and no test waits for ever.
STAGE_SECONDS = 40 * 60
ON_SQLITE = {"TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""}
# A whole run makes a test twice where engines can differ (tests/stack/engines.py says how that is known).
BUT_ONCE = ("-m", "not browser and (no_database or not once)")
# What touches no database runs once, on SQLite; so does the simulator, which keeps a store of its own.
ON_POSTGRES = (
    *("-m", "not browser and not no_database"),
    *("--ignore=tests/simulator", "--ignore=tests/contract"),
)
# How much nicer than usual (nice(1)) a stage is that runs beside another one.
NICER = 5


@dataclass(frozen=True)
class Going:
    """A stage on its way: the words after its name, where what it says goes, whether it lets another one go first,
    and whether it is part of a whole run, in which another stage may have what it leaves out.
    """

    words: list[str]
    say: Callable[[str], None]
    gives_way: bool = False
    in_whole_run: bool = False


class StageFailed(Exception):
    """The stage ran and found something wrong, or could not run; the text is its line in the summary."""


class StageNotRun(Exception):
    """The stage needs something from outside that is not here; the text says what, and is in the summary."""


def lint(going: Going) -> str:
    """Style, types, templates, and that no migration is missing."""
    checks: dict[str, list[str | Path]] = {
        "ruff check": [BIN / "ruff", "check", "."],
        "ruff format": [BIN / "ruff", "format", "--check", "--quiet", "."],
        "mypy": [BIN / "mypy", "accounts", "billing", "usage", "config", "simulator"],
        "djlint": [BIN / "djlint", "templates", "--lint", "--quiet"],
        "migrations": [
            sys.executable,
            "manage.py",
            "makemigrations",
            "--check",
            "--dry-run",
            "--skip-checks",
        ],
    }
    # The settings are read by the type checker's Django plugin; nothing is connected to.
    environment = {"SECRET_KEY": "only-for-the-type-checker", "DEBUG": "1"}
    failed = []
    with ThreadPoolExecutor(max_workers=_processes()) as pool:
        running = {name: pool.submit(_ran, command, environment, going) for name, command in checks.items()}
        for name, check in running.items():
            status, said = check.result()
            going.say(f"{said}{name}: {'ok' if status == 0 else 'FAILED'}")
            if status != 0:
                failed.append(name)
    if failed:
        raise StageFailed("not clean: " + ", ".join(failed))
    return ", ".join(checks) + ": clean"


def sqlite(going: Going) -> str:
    """Every test but the browser's and those that need PostgreSQL; in a whole run, where the engine may matter."""
    chosen = BUT_ONCE if going.in_whole_run and not going.words else ("-m", "not browser")
    return _pytest([*chosen, *going.words], ON_SQLITE, going)


def postgres(going: Going) -> str:
    """Every test that touches a database again, with what only PostgreSQL and Redis can show."""
    with servers.running(prefer=os.environ.get("TEST_SERVERS", "installed")) as found:
        going.say(found.described)
        environment = {"TEST_DATABASE_URL": found.database_url, "TEST_REDIS_URL": found.redis_url}
        return _pytest(
            [*(ON_POSTGRES if not going.words else ("-m", "not browser")), *going.words], environment, going
        )


def journeys(going: Going) -> str:
    """Walks through the live site in a real browser."""
    _get_chromium(going)
    return _pytest(["-m", "browser", *going.words], ON_SQLITE, going)


def conformance(going: Going) -> str:
    """Stripe's CLI, stripe-node and our JavaScript sample; fetched first, as without them there is nothing to run."""
    try:
        for tool in npm.TOOLS:
            npm.installed(*tool)
    except npm.CannotFetch as lack:
        raise StageNotRun(str(lack)) from None
    tests = [
        "tests/simulator/test_cli_triggers.py",
        "tests/simulator/test_node.py",
        "tests/usage/test_api_samples.py",
    ]
    return _pytest([*tests, *going.words], {npm.ASKED_FOR: "1", **ON_SQLITE}, going, processes=0)


def stripe_live(going: Going) -> str:
    """The contract's scenarios against an account in Stripe's test mode."""
    if not os.environ.get("STRIPE_SECRET_KEY", "").strip():
        raise StageNotRun(live.NO_KEY)
    account = live.given()
    going.say(f"Playing against {live.knock(account)}; this takes some minutes.")
    environment = {**live.environment(account), **ON_SQLITE}
    return _pytest(["tests/contract", *going.words], environment, going, processes=0)


def _get_chromium(going: Going) -> None:
    """The browser; Debian's when none is here and we may install it. Raises ChromiumMissing otherwise."""
    with contextlib.suppress(chromium.ChromiumMissing):
        going.say(chromium.executable())
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        going.say("No Chromium here; installing Debian's …")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "chromium",
            "fonts-liberation",
        ]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(
                command, env=quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=900
            )
    going.say(chromium.executable())


def _pytest(
    words: list[str], environment: Mapping[str, str], going: Going, *, processes: int | None = None
) -> str:
    """Run pytest, showing what it says; answers its last line, such as “412 passed in 88.12s”."""
    how = [] if any(re.fullmatch("-[qv]+|--verbose|--quiet", word) for word in words) else ["-q"]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        *how,
        "-n",
        str(_processes() if processes is None else processes),
        "--dist",
        "worksteal",
        *words,
    ]
    last = ""
    process = _started(command, environment, going)
    assert process.stdout is not None
    for line in process.stdout:
        going.say(line.rstrip("\n"))
        if re.search(r"\b(passed|failed|error|errors|no tests ran)\b.* in [\d.]+", line):
            last = line.strip(" =\n")
    status = process.wait()
    if status != 0:
        raise StageFailed(last or f"pytest ended with exit status {status}")
    return last


def _ran(command: list[str | Path], environment: Mapping[str, str], going: Going) -> tuple[int, str]:
    process = _started(command, environment, going)
    try:
        said, _ = process.communicate(timeout=STAGE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise StageFailed(f"{command[0]} did not end in {STAGE_SECONDS // 60} minutes") from None
    return process.returncode, said


def _started(
    command: list[str | Path], environment: Mapping[str, str], going: Going
) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        command,
        env={**_environment(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if going.gives_way:
        os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + NICER)
    return process


def _environment() -> dict[str, str]:
    """Ours, without what containers like to set: each of the dozens of Pythons that the tests start would
    compile Django and the rest anew, for seconds.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _processes() -> int:
    """One more than there are processors: a test that waits for somebody leaves its own to another."""
    return min(4, (os.cpu_count() or 1) + 1)
