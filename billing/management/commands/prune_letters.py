"""`manage.py prune_letters`: take the words out of Stripe's letters that are old enough, here and now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import clock
from billing.stripe import pruning


class Command(BaseCommand):
    help = "Leave of old letters from Stripe only the ids by which they can be read again. Beat does it every night."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, help="how many days letters stay whole (STRIPE_LETTER_DAYS)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("Give at least one day.")
        pruned = 0
        while helping := pruning.prune(now=clock.wall(), days=options["days"]):
            pruned += helping
        self.stdout.write("1 letter pruned." if pruned == 1 else f"{pruned:,} letters pruned.")
