"""Find the installed `stripe` package, read it once, and keep what was read on disk for the next start."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from simulator.sdk import reader

# Products that no part of a subscription business touches; leaving them out halves the reading time. Of the second
# version of the API only what tells of usage that did not count is read.
LEFT_OUT = {
    "v2",
    "issuing",
    "treasury",
    "terminal",
    "identity",
    "climate",
    "forwarding",
    "financial_connections",
}
LEFT_OUT |= {"radar", "sigma", "apps", "crypto", "delegated_checkout", "events", "__pycache__"}
KEPT = {
    "v2/core/_event.py",
    "events/_v1_billing_meter_error_report_triggered_event.py",
    "events/_v1_billing_meter_no_meter_found_event.py",
}


class SdkNotInstalled(RuntimeError):
    """The `stripe` package cannot be found, so there is nothing to be faithful to."""


@functools.cache
def package() -> Path:
    """The folder of the installed `stripe` package. Raises `SdkNotInstalled`."""
    spec = importlib.util.find_spec("stripe")
    if spec is None or spec.origin is None:
        raise SdkNotInstalled(
            "The simulator reads the shapes of the installed `stripe` package: pip install stripe."
        )
    return Path(spec.origin).parent


@functools.cache
def sdk_version() -> str:
    """The package's version, such as `15.6.2`."""
    return _constant(package() / "_version.py", "VERSION")


@functools.cache
def api_version() -> str:
    """The API version the package was generated from, such as `2026-08-26.dahlia`."""
    return _constant(package() / "_api_version.py", "CURRENT")


@functools.cache
def schema() -> reader.Schema:
    """Everything read from the package; about a second the first time, some milliseconds afterwards."""
    kept = _cache_file()
    try:
        found: reader.Schema = json.loads(kept.read_bytes())
        return found
    except (OSError, ValueError):
        found = reader.read(package(), left_out=frozenset(LEFT_OUT), kept=frozenset(KEPT))
    try:
        _write_whole(kept, json.dumps(found, separators=(",", ":")))
    except OSError:
        return found  # A read-only home only costs the second next time.
    return found


def _cache_file() -> Path:
    told_apart_by = hashlib.sha256()
    told_apart_by.update(str(package()).encode())
    told_apart_by.update(str((package() / "_version.py").stat().st_mtime_ns).encode())
    told_apart_by.update(Path(reader.__file__).read_bytes())
    told_apart_by.update(",".join(sorted(LEFT_OUT | KEPT)).encode())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "stripe-simulator" / f"{sdk_version()}-{told_apart_by.hexdigest()[:16]}.json"


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(draft, path)


def _constant(path: Path, name: str) -> str:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == name for t in node.targets
        ):
            value: Any = ast.literal_eval(node.value)
            return str(value)
    raise SdkNotInstalled(f"{path} has no {name}: this is not a `stripe` package the simulator understands.")
