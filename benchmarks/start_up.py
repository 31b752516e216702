"""Seconds from `./run` to its READY line: nothing cached, packages cached, and the second start.

    python benchmarks/start_up.py            # as yourself; as root also: --user nobody

Copies the tracked files to a temporary folder for each round, so nothing of this checkout is touched. The processor
seconds of everything started are printed beside the clock's, because a busy machine stretches only the latter.
"""

import argparse
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(r"Ready after ([\d.]+) s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--user", help="start as this user; only root may")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs ./run")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallyhouse-start-") as folder:
        Path(folder).chmod(0o755)
        checkout = Path(folder) / "checkout"
        _copy(checkout)
        who = pwd.getpwnam(asked.user) if asked.user else None
        if who:
            _give(Path(folder), who)
        rounds = {
            "cold (no package cache)": (),
            "warm (packages cached, .venv and data deleted)": (".venv", "var", ".env"),
            "second start": (),
            "second start, data deleted": ("var",),
        }
        print(f"{'seconds to READY':<50}{'clock':>8}{'processor':>12}")
        for name, deleted in rounds.items():
            for entry in deleted:
                shutil.rmtree(checkout / entry, ignore_errors=True)
                (checkout / entry).unlink(missing_ok=True)
            clock, processor = _start(checkout, Path(folder) / "home", asked.python, who)
            print(f"{name:<50}{clock:>8.1f}{processor:>12.1f}", flush=True)


def _copy(checkout: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), tracked.decode().split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)


def _give(folder: Path, who: pwd.struct_passwd) -> None:
    for entry in (folder, *folder.rglob("*")):
        os.chown(entry, who.pw_uid, who.pw_gid)


def _start(checkout: Path, home: Path, python: str, who: pwd.struct_passwd | None) -> tuple[float, float]:
    """Start, wait for READY, stop. Answers clock seconds and processor seconds of all that was started."""
    before = _spent()
    environment = {
        **os.environ,
        "HOME": str(home),
        "UV_CACHE_DIR": f"{home}/uv",
        "PIP_CACHE_DIR": f"{home}/pip",
    }
    identity = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}
    process = subprocess.Popen(
        [python, str(checkout / "run")],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **identity,  # type: ignore[call-overload]
    )
    said = ""
    for line in process.stdout:
        said += line
        if READY.search(line):
            process.send_signal(signal.SIGINT)
    process.wait(60)
    found = READY.search(said)
    if not found:
        sys.exit(said)
    return float(found[1]), _spent() - before


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
