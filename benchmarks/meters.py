"""How fast waiting acts become deliveries and reach Stripe's meters, and how many calls that saves.

    .venv/bin/python -m benchmarks.meters [--acts 50000] [--accounts 500] [--senders 4]

Starts a PostgreSQL of its own with durability on, or takes TEST_DATABASE_URL (its database is written to), and the
simulator in this process, which answers in about a millisecond: over a real network a sender waits for some 80 ms a
call, and more senders make up for it: one call at a time for a customer and meter, 1,000 a second in live mode.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from soaks.meters import house, open_accounts
from tests import servers

# Acts within so many hours, so that each account has as many deliveries.
HOURS = 3


def main() -> None:
    options = _options()
    with servers.running(durable=True) as found, house(found.database_url) as environment:
        from simulator.core import Simulator
        from simulator.server import serve

        running = serve(Simulator(), port=int(environment["STRIPE_API_BASE"].rpartition(":")[2]))
        print(found.described)
        _write(open_accounts(options.accounts), options.acts)
        _freeze(options.acts)
        _send(options.senders)
        running.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, usual in (("acts", 50_000), ("accounts", 500), ("senders", 4)):
        parser.add_argument(f"--{name}", type=int, default=usual, help=f"default: {usual:,}")
    return parser.parse_args()


def _write(accounts: list[Any], acts: int) -> None:
    """The ledger and the outbox as consuming would have left them, written in bulk."""
    from django.utils import timezone

    from usage.models import MeterEvent, UsageRecord

    now = timezone.now()
    began = now - timedelta(days=1)
    for first in range(0, acts, 5000):
        records = UsageRecord.objects.bulk_create(
            UsageRecord(
                account=accounts[number % len(accounts)],
                feature="tokens",
                units=1,
                billed=1,
                used_after=number,
                idempotency_key=f"act-{number}",
                period_start=began,
                recorded_at=now - timedelta(hours=number % HOURS, minutes=1),
            )
            for number in range(first, min(first + 5000, acts))
        )
        MeterEvent.objects.bulk_create(
            MeterEvent(
                record=record,
                account_id=record.account_id,
                event_name="tokens_used",
                identifier=f"{record.account_id}-{record.pk}",
                units=1,
                occurred_at=record.recorded_at,
                next_attempt_at=began,
            )
            for record in records
        )


def _freeze(acts: int) -> None:
    from django.utils import timezone

    from usage.meters import freezing

    started = time.perf_counter()
    made = freezing.freeze(now=timezone.now())
    seconds = time.perf_counter() - started
    print(
        f"{acts:,} acts frozen into {made:,} deliveries in {seconds:.1f} s: {acts / seconds:,.0f} acts a second"
    )
    print(f"{acts / made:,.1f} acts travel in one call to Stripe")


def _send(senders: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from usage import meters

    def send(_: int) -> int:
        try:
            return meters.deliver(now=timezone.now(), seconds=600)
        finally:
            connection.close()

    started = time.perf_counter()
    alone = meters.deliver(now=timezone.now(), limit=200)
    seconds = time.perf_counter() - started
    print(f"one sender: {alone / seconds:,.0f} deliveries a second")
    started = time.perf_counter()
    with ThreadPoolExecutor(senders) as pool:
        together = sum(pool.map(send, range(senders)))
    seconds = time.perf_counter() - started
    print(f"{senders} senders (threads): {together / seconds:,.0f} deliveries a second")


if __name__ == "__main__":
    main()
