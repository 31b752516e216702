"""What a new month costs when a million accounts begin one: nothing ahead, and a little more for each first act."""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import timedelta
from typing import Any

from benchmarks.usage.house import ACCOUNTS, NOW


def measure(url: str, options: argparse.Namespace) -> None:
    """The median of ordinary acts and of first acts in a new month, one client, and the ratio."""
    from django.db import connection

    from accounts.models import Account
    from usage import metering
    from usage.models import UsageCounter

    _more_accounts(options.accounts - ACCOUNTS)
    accounts = list(Account.objects.filter(name="bench").order_by("?")[:ACCOUNTS])
    later = NOW + timedelta(days=31)

    def act(account: Account, key: str, now: Any) -> float:
        began = time.perf_counter()
        metering.consume(account=account, feature="generations", idempotency_key=key, now=now)
        return time.perf_counter() - began

    run = f"window-{time.time_ns()}"
    for account in accounts:
        act(account, f"{run}-warm", NOW)
    usual = statistics.median(act(account, f"{run}-usual", NOW) for account in accounts)
    ahead = UsageCounter.objects.filter(period_start__gte=NOW + timedelta(days=1)).count()
    first = statistics.median(act(account, f"{run}-first", later) for account in accounts)
    print(f"\nA new month for {UsageCounter.objects.values('account').distinct().count():,} accounts")
    print(f"rows written ahead: {ahead}")
    print(
        f"an ordinary act {usual * 1e6:,.0f} µs, the first of a month {first * 1e6:,.0f} µs: {first / usual:.2f}"
    )
    connection.close()


def _more_accounts(number: int) -> None:
    """Copies of one account, its customer, its grant and its counter."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            "CREATE TABLE bench_new AS SELECT gen_random_uuid() AS pk FROM generate_series(1, %s)", [number]
        )
        cursor.execute("SELECT account_id FROM bench_account WHERE id = 1")
        (template,) = cursor.fetchone()
        for table, its_account, of_its_own in (
            ("accounts_account", "id", {}),
            (
                "billing_customer",
                "account_id",
                {"creation_key": "new.pk::text", "stripe_customer_id": "NULL"},
            ),
            ("billing_plangrant", "account_id", {}),
            ("usage_usagecounter", "account_id", {"used": "0"}),
        ):
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_identity = 'NO'",
                [table],
            )
            columns = [name for (name,) in cursor.fetchall()]
            values = [
                "new.pk" if name == its_account else of_its_own.get(name, f"old.{name}") for name in columns
            ]
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
                f" FROM {table} old, bench_new new WHERE old.{its_account} = %s",
                [template],
            )
        cursor.execute("DROP TABLE bench_new")
        cursor.execute("VACUUM ANALYZE usage_usagecounter, billing_customer, accounts_account")
        cursor.execute("RESET statement_timeout")
