"""`./run test`: lint, the suite on SQLite, on PostgreSQL and Redis, the browser journeys, Stripe's own tools.

`stripe-live`, the contract's scenarios against a real account in test mode, is never part of it: it runs when named.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests import chromium, servers
from tests.contract import live
from tests.simulator import npm

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# No journey is skipped for want of a browser, and no test waits for ever.
STAGE_SECONDS = 40 * 60
OK, FAILED, NOT_RUN = "ok", "FAILED", "not run"
# What touches no database runs once, on SQLite; so does the simulator, which keeps a store of its own.
ON_POSTGRES = (
    *("-m", "not browser and not no_database"),
    *("--ignore=tests/simulator", "--ignore=tests/contract"),
)


@dataclass(frozen=True)
class Outcome:
    """How one stage went."""

    stage: str
    ended: str  # ok, FAILED or not run
    seconds: float
    said: str


def main(words: list[str]) -> int:
    """Run the stages named (all, when none is); 0 when every one passed. See `./run help`."""
    os.chdir(ROOT)
    stages: dict[str, Callable[[list[str]], str]] = {
        "lint": _lint,
        "sqlite": _sqlite,
        "postgres": _postgres,
        "journeys": _journeys,
        "conformance": _conformance,
    }
    wanted = list(stages)
    stages["stripe-live"] = _stripe_live
    if words and words[0] == "--fast":
        wanted, words = ["lint", "sqlite"], words[1:]
    elif words and words[0] in stages:
        wanted, words = [words[0]], words[1:]
    outcomes = [_do(name, stages[name], words) for name in wanted]
    if wanted == ["conformance"]:  # Asked for by name, it has to run.
        outcomes = [
            replace(outcome, ended=FAILED) if outcome.ended == NOT_RUN else outcome for outcome in outcomes
        ]
    _summarise(outcomes)
    return 1 if any(outcome.ended == FAILED for outcome in outcomes) else 0


class StageFailed(Exception):
    """The stage ran and found something wrong, or could not run; the text is its line in the summary."""


class StageNotRun(Exception):
    """The stage needs something from outside that is not here; the text says what, and is in the summary."""


def _do(name: str, stage: Callable[[list[str]], str], words: list[str]) -> Outcome:
    _say(f"\n=== {name} " + "=" * (74 - len(name)))
    began = time.monotonic()
    try:
        said, ended = stage(words), OK
    except StageNotRun as lack:
        said, ended = str(lack), NOT_RUN
        _say(f"Not run: {said}")
    except (StageFailed, servers.ServerMissing, chromium.ChromiumMissing, live.WrongKey) as problem:
        said, ended = str(problem), FAILED
        _say(said)
    return Outcome(name, ended, time.monotonic() - began, said)


def _lint(words: list[str]) -> str:
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
    failed = []
    with ThreadPoolExecutor(max_workers=_processes()) as pool:
        for name, done in zip(checks, pool.map(_checked, checks.values()), strict=True):
            _say(f"{done.stdout}{name}: {'ok' if done.returncode == 0 else 'FAILED'}")
            if done.returncode != 0:
                failed.append(name)
    if failed:
        raise StageFailed("not clean: " + ", ".join(failed))
    return ", ".join(checks) + ": clean"


def _checked(command: list[str | Path]) -> "subprocess.CompletedProcess[str]":
    # The settings are read by the type checker's Django plugin; nothing is connected to.
    environment = {**_environment(), "SECRET_KEY": "only-for-the-type-checker", "DEBUG": "1"}
    return subprocess.run(
        command,
        env=environment,
        timeout=STAGE_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _sqlite(words: list[str]) -> str:
    return _pytest(["-m", "not browser", *words], {"TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""})


def _postgres(words: list[str]) -> str:
    with servers.running(prefer=os.environ.get("TEST_SERVERS", "installed")) as found:
        _say(found.described)
        return _pytest(
            [*(ON_POSTGRES if not words else ("-m", "not browser")), *words],
            {"TEST_DATABASE_URL": found.database_url, "TEST_REDIS_URL": found.redis_url},
        )


def _journeys(words: list[str]) -> str:
    _get_chromium()
    return _pytest(["-m", "browser", *words], {"TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""})


def _conformance(words: list[str]) -> str:
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
    return _pytest(
        [*tests, *words], {npm.ASKED_FOR: "1", "TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""}, processes=0
    )


def _stripe_live(words: list[str]) -> str:
    if not os.environ.get("STRIPE_SECRET_KEY", "").strip():
        raise StageNotRun(live.NO_KEY)
    account = live.given()
    _say(f"Playing against {live.knock(account)}; this takes some minutes.")
    environment = {**live.environment(account), "TEST_DATABASE_URL": "", "TEST_REDIS_URL": ""}
    return _pytest(["tests/contract", *words], environment, processes=0)


def _get_chromium() -> None:
    """The browser; Debian's when none is here and we may install it. Raises ChromiumMissing otherwise."""
    with contextlib.suppress(chromium.ChromiumMissing):
        _say(chromium.executable())
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _say("No Chromium here; installing Debian's …")
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
    _say(chromium.executable())


def _pytest(words: list[str], environment: dict[str, str], *, processes: int | None = None) -> str:
    """Run pytest, showing what it says; answers its last line, such as “412 passed in 88.12s”."""
    how = [] if any(re.fullmatch("-[qv]+|--verbose|--quiet", word) for word in words) else ["-q"]
    command = [
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
    process = subprocess.Popen(
        command,
        env={**_environment(), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if re.search(r"\b(passed|failed|error|errors|no tests ran)\b.* in [\d.]+", line):
            last = line.strip(" =\n")
    status = process.wait()
    if status != 0:
        raise StageFailed(last or f"pytest ended with exit status {status}")
    return last


def _environment() -> dict[str, str]:
    """Ours, without what containers like to set: each of the dozens of Pythons that the tests start would
    compile Django and the rest anew, for seconds.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _processes() -> int:
    """One more than there are processors: a test that waits for somebody leaves its own to another."""
    return min(4, (os.cpu_count() or 1) + 1)


def _summarise(outcomes: list[Outcome]) -> None:
    _say("\n" + "=" * 80)
    for outcome in outcomes:
        _say(f"{outcome.ended:9}{outcome.stage:12}{outcome.seconds:7.1f} s   {outcome.said}")
    passed = sum(int(found[1]) for outcome in outcomes if (found := re.search(r"(\d+) passed", outcome.said)))
    seconds = sum(outcome.seconds for outcome in outcomes)
    ends = {outcome.ended for outcome in outcomes}
    ended = (
        "SOMETHING FAILED"
        if FAILED in ends
        else "All stages that ran passed"
        if NOT_RUN in ends
        else "All stages passed"
    )
    if ends != {NOT_RUN}:
        _say(f"{ended}: {passed} passed in {seconds:.1f} s")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
