"""`manage.py reconcile_usage`: compare Stripe's meters with what was used, and say where they differ."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from billing import clock
from billing.stripe import gateway
from usage.meters import reconciliation
from usage.meters.totals import Meters, NoMeter


class Command(BaseCommand):
    help = (
        "Compare Stripe's meters with what was used, by account and usage window. What counts as sent and is missing "
        "at Stripe is listed for review; a difference of over 5 %, or any in a closed window, raises an alert. Runs "
        "daily by itself; safe at any time and any number of times."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", type=uuid.UUID, metavar="ACCOUNT_ID", help="Only this account.")
        parser.add_argument("--dry-run", action="store_true", help="Only say it: no review, no alert.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.wall()
        accounts = reconciliation.accounts(now=now).order_by("pk")
        if options["account"]:
            accounts = Account.objects.filter(pk=options["account"])
            if not accounts.exists():
                raise CommandError(f"There is no account {options['account']}.")
        meters = Meters()
        looked_at = windows = different = failed = 0
        for account in accounts:
            looked_at += 1
            try:
                found = reconciliation.reconcile(account, now=now, dry_run=options["dry_run"], meters=meters)
            except (gateway.StripeError, NoMeter) as error:
                failed += 1
                self.stderr.write(f"{account}: {type(error).__name__}: {error}")
                continue
            windows += len(found)
            for comparison in found:
                if comparison.difference:
                    different += 1
                    self.stdout.write(_line(account, comparison))
        self.stdout.write(
            f"Accounts: {looked_at}; windows: {windows}; different: {different}; failed: {failed}."
        )
        if failed:
            raise CommandError("Some accounts could not be compared; run the command again.")


def _line(account: Account, found: reconciliation.Comparison) -> str:
    lost = f"; {found.lost:,} of them are listed for review" if found.lost else ""
    return (
        f"{account} ({account.pk}), {found.event_name}, {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC"
        f"{' (closed)' if found.is_closed else ''}: used {found.used - found.by_hand:,}, "
        f"at Stripe {found.at_stripe:,}, missing {found.difference:,}{lost}."
    )
