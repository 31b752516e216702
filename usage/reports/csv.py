"""Acts as CSV lines that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from billing import money
from usage.denominations import Denominations
from usage.models import UsageRecord

COLUMNS = (
    "id",
    "recorded_at",
    "feature",
    "units",
    "from_allowance",
    "from_credits",
    "paid",
    "cost",
    "currency",
    "used_after",
    "period_start",
    "idempotency_key",
    "member",
    "api_key",
)
# What begins like this is run by spreadsheets: https://owasp.org/www-community/attacks/CSV_Injection
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def lines(acts: Iterable[UsageRecord], *, costs_in: Denominations) -> Iterator[str]:
    """The header, then a line an act."""
    return table(COLUMNS, (_cells(act, costs_in.of(act.pk)) for act in acts))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The header, then a line a row (RFC 4180)."""
    writer = csv.writer(_Echo(), lineterminator="\r\n")
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def harmless(cell: Any) -> Any:
    """A text that a spreadsheet would run, as text; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(DANGEROUS) else cell


class _Echo:
    """Gives back what the writer writes."""

    def write(self, line: str) -> str:
        return line


def _cells(act: UsageRecord, currency: str) -> list[Any]:
    return [
        act.pk,
        act.recorded_at.isoformat(),
        act.feature,
        act.units,
        act.units - act.credited - act.billed,
        act.credited,
        act.billed,
        money.decimal(act.cost, currency),
        currency,
        act.used_after,
        act.period_start.isoformat(),
        act.idempotency_key,
        (act.user.name or act.user.email) if act.user else "",
        f"{act.api_key.name} ({act.api_key.prefix})" if act.api_key else "",
    ]
