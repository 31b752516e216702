"""Official packages from npm, installed once into the user's cache, for the tests that need a foreign client."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

ASKED_FOR = "TALLYHOUSE_CONFORMANCE"

CLI = ("@stripe/cli", "1.52.0")
NODE = ("stripe", "23.1.0")
TOOLS = (CLI, NODE)

Install = Callable[[str, str], Path]


class CannotFetch(Exception):
    """Stripe's own tools are not here and cannot be had; the text says what to do."""


def installed(package: str, version: str) -> Path:
    """The folder whose `node_modules` has this package; raises `CannotFetch` when npm cannot do it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallyhouse-conformance"
    folder = cache / f"{package.strip('@').replace('/', '-')}-{version}"
    if (folder / "node_modules" / package / "package.json").exists():
        return folder
    if lack := lacking():
        raise CannotFetch(lack)
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            folder,
            f"{package}@{version}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-400:]
        raise CannotFetch(f"npm could not fetch {package} {version}, which this needs. It said: {said}")
    return folder


def lacking() -> str | None:
    """What has to be installed first, as a sentence; None when nothing has to."""
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if not missing:
        return None
    return (
        f"{' and '.join(missing)} cannot be found, so Stripe's own tools cannot be fetched and run. Install Node.js 18 "
        "or newer with npm, and run ./run conformance again."
    )


def is_asked_for() -> bool:
    """Whether somebody asked for the checks against npm's packages, by TALLYHOUSE_CONFORMANCE=1."""
    return os.environ.get(ASKED_FOR) == "1"
