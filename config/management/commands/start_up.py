"""`manage.py start_up`: everything an embedded house needs before it opens, in one process."""

import socket
import time
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connection

from accounts import demo
from config import schema_load

STRIPE = "https://api.stripe.com"
STAND_IN_SECONDS = 20


class Command(BaseCommand):
    help = (
        "What ./run does before it opens: tables, the price list in Stripe's stand-in, demo accounts. "
        "Safe to repeat. In production use migrate and sync_catalog instead."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("start_up is for a laptop. With DEBUG off, run migrate and sync_catalog.")
        if connection.vendor == "sqlite":
            schema_load.load()
        else:
            call_command("migrate", verbosity=0)
        if settings.STRIPE_API_BASE == STRIPE:
            self.stdout.write(
                "Your own Stripe account: see ./run manage sync_catalog --dry-run for what it lacks."
            )
        else:
            _wait_for_the_stand_in()
            call_command("sync_catalog", verbosity=0)
        if settings.DEMO:
            call_command("seed_demo", stdout=StringIO())
            for name, role in ((demo.OWNER, "owner"), (demo.OTHERS[1], "member"), (demo.STAFF, "our staff")):
                self.stdout.write(f"Sign in as {name[0]} ({role}), password {demo.PASSWORD}")


def _wait_for_the_stand_in() -> None:
    """It was started a moment before us, while this process was still importing."""
    address = urlsplit(settings.STRIPE_API_BASE)
    deadline = time.monotonic() + STAND_IN_SECONDS
    while True:
        try:
            socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), timeout=2).close()
        except OSError as problem:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"Stripe's stand-in does not answer at {settings.STRIPE_API_BASE}."
                ) from problem
            time.sleep(0.05)
        else:
            return
