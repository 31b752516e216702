"""`manage.py sync_catalog`: show how Stripe differs from the price list, then make it so. Safe twice."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing import catalog, currencies
from billing.stripe import catalog_push, gateway
from billing.stripe.catalog_push import Change, endpoint
from billing.stripe.catalog_push.diff import Verb

TOTALS: dict[Verb, str] = {
    "create": "to create",
    "change": "to change",
    "archive": "to archive",
    "unchanged": "unchanged",
}


class Command(BaseCommand):
    help = "Bring products, prices, meters and the portal's settings at Stripe in line with the price list."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
        parser.add_argument(
            "--webhook-url",
            help="also have Stripe write to this address (…/stripe/webhook/); prints its secret once",
        )

    def handle(self, *args: Any, dry_run: bool, webhook_url: str | None, **options: Any) -> None:
        loud = options["verbosity"] > 0
        try:
            prices = catalog.current()
            withdrawn = currencies.withdrawn(prices)
            changes = catalog_push.changes(prices)
            if webhook_url:
                changes += endpoint.changes(webhook_url, tell=self._tell_secret)
            if loud:
                self._show(prices, changes)
                if webhook_url and any(feature.meter_event_name for feature in prices.features.values()):
                    self._ask_for_thin_events(webhook_url)
            if withdrawn:
                raise CommandError("\n".join([*withdrawn, "Nothing was changed at Stripe."]))
            if not dry_run:
                for change in changes:
                    if change.act is not None:
                        change.act()
        except catalog.CatalogError as error:
            raise CommandError("\n".join(error.problems)) from error
        except catalog_push.CannotPush as error:
            raise CommandError(str(error)) from error
        except gateway.StripeUnavailable as error:
            raise CommandError(
                f"{error} Nothing is half done that the same command does not finish."
            ) from error
        except gateway.StripeError as error:
            raise CommandError(f"Stripe refused: {error}") from error
        if loud:
            self._sum_up(changes, dry_run=dry_run)

    def _show(self, prices: catalog.Catalog, changes: list[Change]) -> None:
        mode = "live mode" if settings.STRIPE_LIVE_MODE else "test mode"
        self.stdout.write(f"{prices.name} ({prices.key}) → Stripe, {mode}")
        width = max((len(change.name) for change in changes), default=0)
        for change in changes:
            line = f"  {change.verb:<10} {change.what:<8} {change.name:<{width}}  {change.detail}".rstrip()
            self.stdout.write(line if change.verb == "unchanged" else self.style.SUCCESS(line))

    def _ask_for_thin_events(self, url: str) -> None:
        self.stdout.write(
            "One step is left to you, because an endpoint cannot carry thin events: in Stripe's Workbench add an event "
            f"destination to {url} with {' and '.join(endpoint.THIN_EVENTS)}, and add its secret to "
            "STRIPE_WEBHOOK_SECRETS. Without it nobody hears that Stripe could not count a metered unit."
        )

    def _sum_up(self, changes: list[Change], *, dry_run: bool) -> None:
        counts = Counter(change.verb for change in changes)
        total = ", ".join(f"{counts[verb]} {words}" for verb, words in TOTALS.items() if counts[verb])
        done = any(change.act for change in changes)
        end = "nothing was done (--dry-run)" if dry_run else "done" if done else "nothing to do"
        self.stdout.write(f"{total}: {end}.")
        if done and not dry_run:
            self.stdout.write(
                "Restart the web and worker processes: they read the price list when they start."
            )

    def _tell_secret(self, secret: str) -> None:
        self.stdout.write(
            "Stripe signs its letters with this secret and shows it only now. Set it and restart:"
        )
        self.stdout.write(f"STRIPE_WEBHOOK_SECRETS={secret}")
