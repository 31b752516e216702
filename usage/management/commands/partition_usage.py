"""`manage.py partition_usage`: the ledger in monthly parts, and parts for the months to come."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from billing import clock
from usage.metering import partitioning


class Command(BaseCommand):
    help = (
        "PostgreSQL only. The first time, with --divide, makes the ledger of acts a table in monthly parts: nobody can "
        "count meanwhile. After that adds parts for the months ahead; run it monthly. Take a backup first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--divide", action="store_true", help="Divide a ledger that is one table.")
        parser.add_argument("--ahead", type=int, default=3, help="Months to have parts for; default: 3.")

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("Only PostgreSQL has tables in parts.")
        now = clock.wall()
        if not partitioning.is_in_parts():
            if not options["divide"]:
                raise CommandError(
                    "The ledger is one table. --divide makes it one in parts; nobody can count meanwhile."
                )
            partitioning.divide(now=now)
            self.stdout.write("The ledger is in parts now.")
        for name in partitioning.add_months(now=now, ahead=options["ahead"]):
            self.stdout.write(f"{name} is ready.")
