"""How it stands with what can fail by itself: Stripe, its letters, the meters, payments. One page, for staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing import clock, money, revenue
from billing.models import Alert, Payment, Subscription, WebhookEvent
from billing.stripe.breaker import State
from billing.stripe.gateway import journal
from usage.models import MeterDelivery, MeterEvent

CALLS_SHOWN = 50
# A process that was heard of longer ago has ended.
LINE_AGE = timedelta(hours=1)
PAYMENTS_SINCE = timedelta(days=30)

LINE_WORDS = {State.OPEN: "resting", State.HALF_OPEN: "being tried out", State.CLOSED: "well again"}


@dataclass(frozen=True)
class Figure:
    """One number, what it means, where its rows are; `is_bad`: somebody should look."""

    name: str
    value: str
    note: str = ""
    url: str = ""
    is_bad: bool = False


@dataclass(frozen=True)
class Section:
    name: str
    figures: Sequence[Figure]


@require_safe
@never_cache
@admin.site.admin_view
def operations(request: HttpRequest) -> HttpResponse:
    """The figures as they are now, and the last calls to Stripe, without a word of what was said in them."""
    now = clock.wall()
    calls = journal.calls()
    return render(
        request,
        "ops/operations.html",
        {
            **admin.site.each_context(request),
            "title": "Operations",
            "sections": [
                *(_stripe(calls, now), _letters(now), _meters(now)),
                *(_revenue(now), _payments(now), _alerts()),
            ],
            "calls": calls[:CALLS_SHOWN],
            "now": now,
        },
    )


def _stripe(calls: Sequence[journal.Call], now: datetime) -> Section:
    day = journal.counts(now=now)
    took = sorted(call.milliseconds for call in calls if call.status)
    return Section(
        "Stripe",
        [
            *_lines(now),
            Figure("Calls in a day", f"{day['calls']:,}"),
            Figure(
                "No answer, or a failure of Stripe's",
                f"{day['no_answer']:,}",
                "Tried again by themselves, under the same key.",
                is_bad=day["no_answer"] > day["calls"] * 0.01,
            ),
            Figure("Refused", f"{day['errors']:,}", "Declined cards are among them."),
            Figure(
                "Too many at once (429)",
                f"{day['rate_limited']:,}",
                "Stripe's limits: 100 a second, 25 in test mode.",
                is_bad=day["rate_limited"] > day["calls"] * 0.01,
            ),
            Figure("Not made, the line was resting", f"{day['not_asked']:,}", is_bad=day["not_asked"] > 0),
            Figure("Half of the calls took", f"{_percentile(took, 50)} ms", f"The last {len(took)} of them."),
            Figure("One in twenty took more than", f"{_percentile(took, 95)} ms"),
        ],
    )


def _lines(now: datetime) -> list[Figure]:
    """What each process's line to Stripe did last, as far as it ever had trouble."""
    newest: dict[str, dict[str, object]] = {}
    for entry in journal.lines():
        if entry["at"] > (now - LINE_AGE).timestamp():
            newest.setdefault(entry["process"], entry)
    if not newest:
        return [Figure("Lines to Stripe", "well", "No process has had to rest for an hour.")]
    return [
        Figure(
            f"Line of {process}",
            LINE_WORDS[State(str(entry["state"]))],
            f"Since {datetime.fromtimestamp(float(str(entry['at'])), now.tzinfo):%H:%M:%S} UTC.",
            is_bad=entry["state"] != State.CLOSED,
        )
        for process, entry in newest.items()
    ]


def _letters(now: datetime) -> Section:
    states = dict(WebhookEvent.objects.values_list("state").annotate(Count("pk")).order_by())
    due = WebhookEvent.objects.due(now).aggregate(oldest=Min("received_at"))["oldest"]
    failed, dead = states.get("failed", 0), states.get("dead", 0)
    return Section(
        "Webhooks",
        [
            Figure(
                "Failed",
                f"{failed:,} to be tried again, {dead:,} dead",
                "A dead one is replayed by staff.",
                _list("billing_webhookevent", state__exact="dead" if dead else "failed"),
                is_bad=dead > 0,
            ),
            Figure(
                "Waiting to be read",
                f"{states.get('received', 0):,}",
                f"The oldest for {_age(due, now)}." if due else "",
                _list("billing_webhookevent", state__exact="received"),
                is_bad=due is not None and now - due > timedelta(minutes=2),
            ),
        ],
    )


def _meters(now: datetime) -> Section:
    states = {
        state: (number, units)
        for state, number, units in MeterDelivery.objects.values_list("state")
        .annotate(Count("pk"), Sum("units"))
        .order_by()
    }
    acts = MeterEvent.objects.filter(state=MeterEvent.State.WAITING).count()
    failing = MeterDelivery.objects.waiting().filter(attempts__gt=0)
    oldest = failing.aggregate(oldest=Min("frozen_at"))["oldest"]
    arrived = MeterDelivery.objects.filter(sent_at__gt=now - timedelta(days=1)).aggregate(
        deliveries=Count("pk"), units=Sum("units", default=0)
    )
    figures = [
        Figure(
            "Arrived in a day",
            f"{arrived['deliveries']:,}",
            f"Deliveries with {arrived['units']:,} units in them.",
        ),
        Figure("Acts not yet on their way", f"{acts:,}", "They travel together, every fifteen seconds."),
        Figure(
            "Tried and not arrived yet",
            f"{failing.count():,}",
            f"The oldest for {_age(oldest, now)}." if oldest else "",
            _list("usage_meterdelivery", state__exact="waiting"),
            is_bad=oldest is not None and now - oldest > timedelta(minutes=15),
        ),
    ]
    for state, name in (("review", "For a person to decide"), ("rejected", "Rejected by Stripe")):
        number, units = states.get(state, (0, 0))
        figures.append(
            Figure(
                name,
                f"{number:,}",
                f"{units:,} units that are not billed." if number else "",
                _list("usage_meterdelivery", state__exact=state),
                is_bad=number > 0,
            )
        )
    return Section("Meters", figures)


def _revenue(now: datetime) -> Section:
    churn = revenue.churn(now=now)
    return Section(
        "Revenue",
        [
            *(
                Figure(
                    "Comes in each month",
                    money.text(amount, currency),
                    "At the list's prices or as agreed, a period as its months; without discounts, tax and paid units.",
                )
                for currency, amount in sorted(revenue.monthly().items())
            ),
            Figure(
                "Left within 30 days",
                f"{churn.left:,} of {churn.paid_then:,} ({churn.percent:.1f}%)",
                "Of the accounts that had paid by then; who goes on with another plan has not left.",
            ),
            Figure(
                "Set to end",
                f"{churn.ending:,}",
                url=_list("billing_subscription", is_live__exact=1, cancel_at__isempty=0),
            ),
        ],
    )


def _payments(now: datetime) -> Section:
    troubled = Subscription.objects.live().filter(status__in=["past_due", "unpaid"])
    failed = Payment.objects.filter(
        status__in=["open", "uncollectible"], attempt_count__gt=0, created_at__gt=now - PAYMENTS_SINCE
    )
    return Section(
        "Payments",
        [
            Figure(
                "Failed in 30 days and still open",
                f"{failed.count():,}",
                url=_list("billing_payment", status__exact="open"),
            ),
            Figure(
                "Subscriptions behind with a payment",
                f"{troubled.count():,}",
                "Past due or unpaid.",
                _list("billing_subscription", status__exact="past_due"),
            ),
        ],
    )


def _alerts() -> Section:
    open_alerts = Alert.objects.filter(resolved_at=None).count()
    return Section(
        "Alerts",
        [
            Figure(
                "Open",
                f"{open_alerts:,}",
                url=_list("billing_alert", resolved_at__isempty=1),
                is_bad=open_alerts > 0,
            )
        ],
    )


def _list(model: str, **chosen: str | int) -> str:
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode(chosen)}"


def _percentile(ordered: Sequence[int], percent: int) -> str:
    return f"{ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]:,}" if ordered else "–"


def _age(moment: datetime, now: datetime) -> str:
    minutes = max(0, int((now - moment).total_seconds())) // 60
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
