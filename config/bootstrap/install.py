"""A virtual environment with exactly the locked packages: made once, checked by a stamp afterwards."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from config.bootstrap.words import CannotStart, say

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RUNTIME = ROOT / "requirements.txt"
TESTS = ROOT / "requirements-dev.txt"


def ensure(*, for_tests: bool = False) -> Path:
    """The Python of a virtual environment with every package of the lock file; made or completed when needed.

    Raises:
        CannotStart: the checkout is not writable, or Python or the package index would not do it.
    """
    if not os.access(ROOT, os.W_OK):
        raise CannotStart(
            f"Cannot write to {ROOT}, where .venv, .env and var are kept. "
            f"Copy the checkout to a place of your own: cp -r {ROOT} ~/tallyhouse && ~/tallyhouse/run"
        )
    locks = [RUNTIME, TESTS] if for_tests else [RUNTIME]
    with _one_at_a_time():
        _make_environment()
        if not all(_is_installed(lock) for lock in locks):
            _install(locks)
            for lock in locks:
                _stamp(lock).write_text(_fingerprint(lock))
    return PYTHON


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with RUNTIME.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_environment() -> None:
    if PYTHON.exists() and _works(PYTHON):
        return
    if VENV.exists() and any(VENV.iterdir()) and not (VENV / "pyvenv.cfg").exists():
        raise CannotStart(f"{VENV} is not a virtual environment. Move it away and run this again.")
    say("Making a virtual environment in .venv …" if not VENV.exists() else "Repairing the one in .venv …")
    uv = shutil.which("uv")
    if uv:
        _do([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], "make .venv")
    else:  # without pip, which alone would take three seconds to unpack
        _do([sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV)], "make .venv")
    if not _works(PYTHON):
        raise CannotStart(f"{PYTHON} does not start. Delete .venv and run this again with another Python.")


def _works(python: Path) -> bool:
    ask = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", ask], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _install(locks: list[Path]) -> None:
    say("Installing the locked packages …")
    files = [word for lock in locks for word in ("-r", str(lock))]
    advice = (
        "Is the package index reachable? Behind a proxy set HTTPS_PROXY, or PIP_INDEX_URL and UV_INDEX_URL."
    )
    uv = _uv()
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes", *files]
    else:
        command = [*_pip(), *files]
    _do(command, "install the packages", advice)


def _uv() -> str | None:
    """uv installs in two seconds what takes pip twenty; fetched by its locked hash when it is not here."""
    here = VENV / "bin" / "uv"
    found = str(here) if here.exists() else shutil.which("uv")
    if found:
        return found
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(_locked("uv"))
        only_uv.flush()
        done = subprocess.run([*_pip(), "-r", only_uv.name], capture_output=True, stdin=subprocess.DEVNULL)
    return str(here) if done.returncode == 0 and here.exists() else None


def _pip() -> list[str]:
    """pip of the Python we run on, told to install into .venv; or one put into .venv when that Python has none."""
    for command in (
        [sys.executable, "-m", "pip", "--python", str(PYTHON)],
        [str(PYTHON), "-m", "pip"],
    ):
        if (
            subprocess.run([*command, "--version"], capture_output=True, stdin=subprocess.DEVNULL).returncode
            == 0
        ):
            return [*command, "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    advice = "On Debian and Ubuntu: apt-get install python3-venv."
    _do([str(PYTHON), "-m", "ensurepip"], "put pip into .venv", advice)
    return _pip()


def _locked(package: str) -> str:
    """The lines of the lock file that pin one package."""
    lines, inside = [], False
    for line in TESTS.read_text().splitlines():
        if not line.startswith((" ", "#")):
            inside = line.startswith(f"{package}==")
        if inside and not line.lstrip().startswith("#"):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _do(command: list[str], purpose: str, advice: str = "") -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-1500:]
        raise CannotStart(f"Could not {purpose}. {advice}\n{words}".strip())


def _is_installed(lock: Path) -> bool:
    stamp = _stamp(lock)
    return stamp.exists() and stamp.read_text() == _fingerprint(lock)


def _stamp(lock: Path) -> Path:
    return VENV / f".installed-{lock.name}"


def _fingerprint(lock: Path) -> str:
    # A new Python in the same place has none of the packages.
    return hashlib.sha256(lock.read_bytes() + PYTHON.resolve().as_posix().encode()).hexdigest()
