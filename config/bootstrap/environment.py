"""What the processes are told: .env, the price list's folder, ports, stand-ins for what is not set."""

import hashlib
import json
import os
import re
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from config.bootstrap.install import ROOT
from config.bootstrap.words import CannotStart

ENV_FILE = ROOT / ".env"
EXAMPLE = ROOT / ".env.example"
DEFAULT_CATALOG = "hybrid"
PORTS_TRIED = 50


@dataclass(frozen=True)
class Place:
    """Where one price list's business lives on this machine: its own database, Stripe, broker and logs."""

    catalog: str
    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def simulator_store(self) -> Path:
        return self.folder / "simulator.sqlite"

    @property
    def running(self) -> Path:
        """Says which ports a running house uses; locked while it runs."""
        return self.folder / "running.json"


def read() -> dict[str, str]:
    """The environment with .env below it; a missing .env is made, with a random key and for our eyes only."""
    if not ENV_FILE.exists():
        _make_env_file()
    found: dict[str, str] = {}
    for line in ENV_FILE.read_text().splitlines():
        match = re.match(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$", line)
        if match:
            found[match[1]] = match[2].strip("\"'")
    return {**found, **os.environ}


def _make_env_file() -> None:
    text = re.sub(r"(?m)^SECRET_KEY=.*$", f"SECRET_KEY={secrets.token_urlsafe(50)}", EXAMPLE.read_text())
    new = ENV_FILE.with_name(f".env.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.rename(ENV_FILE)


def place(settings: dict[str, str]) -> Place:
    """The folder of the price list that `BILLING_CATALOG` names."""
    catalog = settings.get("BILLING_CATALOG") or DEFAULT_CATALOG
    known = sorted(path.stem for path in (ROOT / "config" / "catalogs").glob("*.toml"))
    if catalog not in known:
        raise CannotStart(f"BILLING_CATALOG={catalog} names no price list. There are: {', '.join(known)}.")
    found = Place(catalog, Path(settings.get("TALLYHOUSE_VAR") or ROOT / "var").resolve() / catalog)
    for folder in ("log", "broker", "broker-control", "static"):
        (found.folder / folder).mkdir(parents=True, exist_ok=True)
    return found


def ports(settings: dict[str, str]) -> tuple[int, int]:
    """A free port for the site and one for the simulator: the wanted ones or the next above them."""
    web = _free_port(settings, "PORT", 8000, taken=0)
    return web, _free_port(settings, "SIMULATOR_PORT", 12111, taken=web)


def _free_port(settings: dict[str, str], name: str, default: int, *, taken: int) -> int:
    asked = settings.get(name) or str(default)
    if not asked.isdigit() or not 0 < int(asked) < 65536 - PORTS_TRIED:
        raise CannotStart(f"{name}={asked} is not a port number. Set it to one such as {default}.")
    for port in range(int(asked), int(asked) + PORTS_TRIED):
        if port != taken and _is_free(port):
            return port
    raise CannotStart(
        f"Ports {asked} to {int(asked) + PORTS_TRIED - 1} are all busy. Set {name} to a free one."
    )


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def for_children(settings: dict[str, str], where: Place, *, web: int, simulator: int) -> dict[str, str]:
    """What every process gets: what was set, and the embedded stand-ins for what was not."""
    told = {
        "PATH": os.environ.get("PATH", ""),
        "BASE_URL": f"http://127.0.0.1:{web}",
        "DEMO": "1" if settings.get("DEBUG", "").lower() in ("1", "true", "yes", "on") else "0",
        "PYTHONUNBUFFERED": "1",
        **{name: value for name, value in settings.items() if value},
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "BILLING_CATALOG": where.catalog,
        "TALLYHOUSE_VAR": str(where.folder),
    }
    if not settings.get("DATABASE_URL"):
        told["DATABASE_URL"] = f"sqlite:///{where.folder / 'db.sqlite3'}"
    if settings.get("STRIPE_SECRET_KEY"):
        return told  # Stripe itself is asked, and no simulator starts
    address = f"http://127.0.0.1:{simulator}"
    secret = _derived(settings, "webhook secret")
    return {
        **told,
        "STRIPE_SECRET_KEY": "sk_test_" + _derived(settings, "key"),
        "STRIPE_API_BASE": address,
        "STRIPE_PAGE_ORIGINS": address,
        "STRIPE_WEBHOOK_SECRETS": f"whsec_{secret}",
        "SIMULATOR_PORT": str(simulator),
        "SIMULATOR_STORE": str(where.simulator_store),
        "SIMULATOR_WEBHOOK_URL": told["BASE_URL"].rstrip("/") + "/stripe/webhook/",
        "SIMULATOR_WEBHOOK_SECRET": f"whsec_{secret}",
    }


def _derived(settings: dict[str, str], purpose: str) -> str:
    """A secret of this checkout that need not be kept anywhere: the same after each start."""
    return hashlib.sha256(f"{settings.get('SECRET_KEY', '')} {purpose}".encode()).hexdigest()[:32]


def remembered_ports(where: Place) -> tuple[int, int] | None:
    """The ports of the house that runs now, or that ran last."""
    try:
        written = json.loads(where.running.read_text())
        return int(written["web"]), int(written["simulator"])
    except (OSError, ValueError, KeyError):
        return None
