"""Payments as an account looks for them: by year and by state, on the page of billing and as a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts.decorators import billing_admin_required
from accounts.models import Account
from accounts.requests import AccountRequest
from billing import clock, money
from billing.models import Payment
from usage.reports import csv

STATES = {
    "paid": ("Paid", Q(status="paid")),
    "open": ("Open or failed", Q(status__in=("open", "uncollectible"))),
    "refunded": ("Refunded, in part or whole", Q(amount_refunded__gt=0)),
    "taken_back": ("Taken back", Q(dispute_state="lost")),
    "void": ("Void", Q(status="void")),
}
COLUMNS = (
    *("number", "date", "state", "currency", "amount_due", "amount_paid", "amount_refunded"),
    *("taken_back", "period_start", "period_end", "paid_at", "taken_back_at", "description", "invoice"),
)


@dataclass(frozen=True)
class Wanted:
    """What is looked for; None and "" are everything."""

    year: int | None = None
    state: str = ""

    @property
    def query(self) -> str:
        """The same for an address."""
        return urlencode(
            {name: value for name, value in (("year", self.year), ("state", self.state)) if value}
        )


def wanted(request: HttpRequest) -> Wanted:
    """What the address asks for; what cannot be read is not asked for."""
    year, state = request.GET.get("year", ""), request.GET.get("state", "")
    is_year = year.isascii() and year.isdigit() and len(year) == 4 and year != "0000"
    return Wanted(year=int(year) if is_year else None, state=state if state in STATES else "")


def matching(account: Account, sought: Wanted) -> QuerySet[Payment]:
    """The account's payments that are sought, the newest first. What is not written to its end is none yet."""
    found = Payment.objects.filter(account=account).exclude(status="draft")
    if sought.year is not None:
        found = found.filter(created_at__year=sought.year)
    if sought.state:
        found = found.filter(STATES[sought.state][1])
    return found.order_by("-created_at", "-id")


def years(account: Account) -> list[int]:
    """The years there are payments of, the newest first."""
    return [
        day.year for day in matching(account, Wanted()).order_by().dates("created_at", "year", order="DESC")
    ]


@require_GET
@never_cache
@billing_admin_required
def export(request: AccountRequest) -> StreamingHttpResponse:
    """The same payments as the page would list, all of them, as a CSV file."""
    found = matching(request.account, wanted(request))
    lines = csv.table(COLUMNS, (_cells(payment) for payment in found.iterator()))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    day = clock.now(request.account)
    response["Content-Disposition"] = f'attachment; filename="payments-{day:%Y-%m-%d}.csv"'
    return response


def _cells(payment: Payment) -> list[Any]:
    sums = (payment.amount_due, payment.amount_paid, payment.amount_refunded, payment.amount_taken_back)
    moments = (payment.period_start, payment.period_end, payment.paid_at, payment.taken_back_at)
    return [
        payment.number,
        payment.created_at.isoformat(),
        payment.status,
        payment.currency,
        *(money.decimal(amount, payment.currency) for amount in sums),
        *(moment.isoformat() if moment else "" for moment in moments),
        payment.description,
        payment.hosted_invoice_url,
    ]
