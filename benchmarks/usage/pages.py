"""The usage page and its questions to the database, for an account with a tenth of the ledger and an ordinary one."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.usage.house import NOW

# The page is looked at without its static files having been collected.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def measure(url: str, options: argparse.Namespace) -> None:
    """The database time of the page's questions about usage, as the median of twenty visits each, and the ratio."""
    from accounts.models import Account

    _fill(options.rows)
    hot, typical = (
        Account.objects.order_by("created_at", "id")[0],
        Account.objects.order_by("created_at", "id")[500],
    )
    found = {name: _database_ms(account) for name, account in (("hot", hot), ("typical", typical))}
    print(f"\nThe usage page on {options.rows:,} acts, {options.rows // 10:,} of them one account's")
    for name, (ms, queries) in found.items():
        print(f"{name:10}{ms:8.2f} ms in {queries} questions")
    print(f"hot / typical: {found['hot'][0] / found['typical'][0]:.2f}")


def _fill(rows: int) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            """
            INSERT INTO usage_usagerecord (
                account_id, feature, units, used_after, limit_at_grant, idempotency_key, period_start, recorded_at
            )
            SELECT a.account_id, 'generations', 1, n, NULL, 'row-' || n, %s,
                %s::timestamptz - (n %% 90) * interval '1 day'
            FROM generate_series(1, %s) n
            JOIN bench_account a ON a.id = CASE WHEN n %% 10 = 0 THEN 1 ELSE 2 + n %% 999 END
            """,
            [NOW, NOW, rows],
        )
        cursor.execute(
            """
            INSERT INTO usage_usageday (account_id, feature, day, units)
            SELECT account_id, feature, (recorded_at AT TIME ZONE 'UTC')::date, sum(units) FROM usage_usagerecord
            WHERE idempotency_key LIKE 'row-%%' GROUP BY 1, 2, 3
            ON CONFLICT (account_id, feature, day, user_id, api_key_id) DO UPDATE
            SET units = usage_usageday.units + EXCLUDED.units
            """
        )
        cursor.execute("VACUUM ANALYZE usage_usagerecord, usage_usageday")


def _database_ms(account: Any) -> tuple[float, int]:
    """The whole page through its view, as its owner sees it; what the server says its questions about usage took."""
    from django.db import connection
    from django.test import Client, override_settings

    from accounts.models import Member
    from tests import factories

    owner = factories.person()
    Member.objects.create(account=account, user=owner, role="owner", joined_at=NOW)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    session["account_id"] = str(account.pk)
    session.save()
    asked: list[tuple[str, Any]] = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if "usage_" in sql:
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with override_settings(STORAGES=STORAGES), connection.execute_wrapper(watch):
        response = client.get("/usage/", secure=True)
    assert response.status_code == 200, response.status_code
    totals = [sum(_execution_ms(sql, params) for sql, params in asked) for _ in range(20)]
    return statistics.median(totals), len(asked)


def _execution_ms(sql: str, params: Any) -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
        (plan,) = cursor.fetchone()
    found = plan if isinstance(plan, list) else json.loads(plan)
    return float(found[0]["Execution Time"])
