"""`manage.py verify_usage`: whether counters and roll-ups are what the ledger adds up to; --repair makes them so."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from billing import clock
from usage.metering import verifying


class Command(BaseCommand):
    help = (
        "Compare each counter and each day of the roll-up with the ledger of acts and name every difference; ends "
        "with status 1 when there is one. --repair puts them right from the ledger and keeps, for each number, what "
        "it was, what it is and why. Safe while units are being counted, and any number of times."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", type=uuid.UUID, metavar="ACCOUNT_ID", help="Only this account.")
        parser.add_argument("--repair", action="store_true", help="Put right what does not agree.")
        parser.add_argument("--reason", default="", help="Why it is repaired; kept with the repair.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["repair"] and not options["reason"].strip():
            raise CommandError("Say why: --repair --reason '…'. It is kept beside what was changed.")
        accounts = Account.objects.order_by("pk")
        if options["account"]:
            accounts = accounts.filter(pk=options["account"])
            if not accounts.exists():
                raise CommandError(f"There is no account {options['account']}.")
        looked_at = left = repaired = 0
        for account in accounts.iterator(chunk_size=500):
            looked_at += 1
            found = verifying.differences(account)
            if found and options["repair"]:
                repaired += len(verifying.repair(account, reason=options["reason"], now=clock.wall()))
                found = verifying.differences(account)
            left += len(found)
            for difference in found:
                self.stdout.write(str(difference))
        self.stdout.write(f"{looked_at:,} accounts looked at, {repaired:,} numbers repaired.")
        if left:
            raise CommandError(
                f"{left:,} numbers are not what the ledger adds up to."
                + ("" if options["repair"] else " --repair --reason '…' puts them right.")
            )
