"""`manage.py reconcile_billing`: ask Stripe about every account again and say what our rows had missed."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Exists, OuterRef, Q

from billing.lifecycle import subscriptions
from billing.models import Customer, Payment, Subscription
from billing.stripe import gateway


class Command(BaseCommand):
    help = (
        "Sync every account that is known at Stripe. For after an outage of the webhooks or a restored backup; "
        "safe at any time and any number of times."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "accounts", nargs="*", type=uuid.UUID, metavar="ACCOUNT_ID", help="Only these accounts."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # A customer that was deleted at Stripe may have left an invoice, which is paid or voided there all the same.
        owing = Payment.objects.filter(account=OuterRef("account"), status="open")
        rows = Customer.objects.filter(Q(stripe_customer_id__isnull=False) | Exists(owing))
        rows = rows.select_related("account").order_by("pk")
        if options["accounts"]:
            rows = rows.filter(pk__in=options["accounts"])
        looked_at, healed, failed = 0, 0, 0
        for row in rows.iterator(chunk_size=200):
            looked_at += 1
            try:
                difference = _heal(row)
            except gateway.StripeError as error:
                failed += 1
                self.stderr.write(f"{row.account}: {type(error).__name__}: {error}")
                continue
            if difference:
                healed += 1
                self.stdout.write(f"{row.account} ({row.pk}): {difference}")
        self.stdout.write(
            f"Accounts asked about: {looked_at}; had missed something: {healed}; failed: {failed}."
        )
        if failed:
            raise CommandError("Some accounts could not be synced; run the command again.")


def _heal(row: Customer) -> str:
    """Sync one account; answers what had been missed, or ""."""
    before = _state(row)
    subscriptions.sync(account=row.account, reason="reconcile", wait_seconds=subscriptions.PATIENCE_SECONDS)
    after = _state(row)
    return "" if before == after else f"{before} → {after}"


def _state(row: Customer) -> str:
    fields = ("plan_key", "status", "quantity", "current_period_end", "cancel_at_period_end", "cancel_at")
    found = Subscription.objects.filter(account=row.account).order_by("started_at", "pk").values(*fields)
    still_open = Payment.objects.filter(account=row.account, status="open")
    invoices = "".join(
        f"; invoice {one.number or one.stripe_invoice_id} open" for one in still_open.order_by("pk")
    )
    return (
        "; ".join(
            f"{sub['plan_key']} × {sub['quantity']} {sub['status']}"
            f"{' canceling' if sub['cancel_at_period_end'] or sub['cancel_at'] else ''}"
            f"{f' until {end:%Y-%m-%d}' if (end := sub['current_period_end']) else ''}"
            for sub in found
        )
        or "nothing bought"
    ) + invoices
