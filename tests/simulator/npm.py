"""Official packages from npm, installed once into the user's cache, for the tests that need a foreign client."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ASKED_FOR = "TALLYHOUSE_CONFORMANCE"


Install = Callable[[str, str], Path]


def installed(package: str, version: str) -> Path:
    """The folder whose `node_modules` has this package; fails the test with a sentence when npm cannot do it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallyhouse-conformance"
    folder = cache / f"{package.strip('@').replace('/', '-')}-{version}"
    if (folder / "node_modules" / package / "package.json").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is not here, so Stripe's own tools cannot be fetched. Install Node.js 18 or newer.")
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            npm,
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
        pytest.fail(f"npm could not install {package} {version}. It said:\n{done.stderr[-2000:]}")
    return folder


def is_asked_for() -> bool:
    """Whether somebody asked for the checks against npm's packages, by TALLYHOUSE_CONFORMANCE=1."""
    return os.environ.get(ASKED_FOR) == "1"
