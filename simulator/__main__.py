"""`python -m simulator`: run the small Stripe until it is told to stop."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from simulator.core import Simulator
from simulator.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Parse, listen, wait for SIGINT or SIGTERM. Returns the exit status; 1 when the port is taken."""
    asked = _parser().parse_args(arguments)
    if asked.webhook_url and not asked.webhook_secret:
        sys.stderr.write(
            "simulator: --webhook-url needs --webhook-secret (or SIMULATOR_WEBHOOK_SECRET), whsec_….\n"
        )
        return 2
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    simulator = Simulator(store_path=asked.store)
    if asked.webhook_url:
        simulator.deliveries.add_endpoint(asked.webhook_url, asked.webhook_secret)
    try:
        running = serve(simulator, asked.host, asked.port, public_url=asked.public_url)
    except OSError as trouble:
        sys.stderr.write(f"simulator: cannot listen on {asked.host}:{asked.port}: {trouble.strerror}.\n")
        return 1
    sys.stdout.write(f"simulator: listening on {running.url}\n")
    sys.stdout.flush()
    ended.wait()
    running.stop()
    simulator.store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    env = os.environ.get
    parser = argparse.ArgumentParser(
        prog="python -m simulator", description="A small Stripe on this machine."
    )
    parser.add_argument(
        "--host", default=env("SIMULATOR_HOST", "127.0.0.1"), help="default: this machine only"
    )
    parser.add_argument("--port", type=int, default=env("SIMULATOR_PORT", "12111"))
    parser.add_argument(
        "--store", default=env("SIMULATOR_STORE"), metavar="FILE", help="SQLite; default: memory"
    )
    parser.add_argument("--webhook-url", default=env("SIMULATOR_WEBHOOK_URL"), metavar="URL")
    parser.add_argument("--webhook-secret", default=env("SIMULATOR_WEBHOOK_SECRET"), metavar="whsec_…")
    parser.add_argument(
        "--public-url",
        default=env("SIMULATOR_PUBLIC_URL"),
        metavar="URL",
        help="where browsers find the hosted pages, when not at the address listened on",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
