"""Is the house up, and is it ready? /healthz and /readyz, for machines that ask. No secret is in either."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import WebhookEvent
from config.models import Heartbeat

# Beat sends the heartbeat every 15 seconds; three missed in a row mean that something stands still.
HEARTBEAT_AGE = timedelta(seconds=60)
# The sweeper runs at least once a minute, so a letter that waits longer than two is not being read.
LETTER_AGE = timedelta(seconds=120)
BROKER_SECONDS = 2


class NotWell(Exception):
    """What is wrong, in words an operator can act on."""


@dataclass(frozen=True)
class Check:
    """One thing that must be so. Without a vital one nothing can be answered; the rest is made up later."""

    name: str
    vital: bool
    look: Callable[[datetime], str]


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers."""
    return JsonResponse({"status": "up"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """`ready` and `degraded` are 200, `unready` is 503.

    A dead broker or worker makes the house degraded, not unready: webhooks must still be taken in, and the
    rows wait. A balancer that goes by 503 would turn Stripe away in the hour when its letters must be kept.
    """
    now = timezone.now()
    answers, status = {}, "ready"
    for check in CHECKS:
        try:
            answers[check.name] = {"ok": True, "says": check.look(now)}
        except Exception as problem:  # a health page answers whatever happens; only our own words are shown
            says = str(problem) if isinstance(problem, NotWell) else f"failed: {type(problem).__name__}"
            answers[check.name] = {"ok": False, "says": says}
            status = "unready" if check.vital else ("degraded" if status == "ready" else status)
    return JsonResponse({"status": status, "checks": answers}, status=503 if status == "unready" else 200)


def _database(now: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.vendor


_migrated = False


def _migrations(now: datetime) -> str:
    global _migrated  # reading every migration file costs half a second, and once done stays done
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            raise NotWell(f"{len(missing)} migrations are not applied; run manage.py migrate.")
        _migrated = True
    return "all applied"


def _stripe(now: datetime) -> str:
    if not settings.STRIPE_SECRET_KEY:
        raise NotWell("STRIPE_SECRET_KEY is not set.")
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise NotWell("STRIPE_WEBHOOK_SECRETS is not set.")
    if settings.STRIPE_API_BASE != "https://api.stripe.com":
        return "stand-in"
    return "live mode" if settings.STRIPE_LIVE_MODE else "test mode"


def _broker(now: datetime) -> str:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        return str(broker.transport_cls)


def _clockwork(now: datetime) -> str:
    beat = Heartbeat.objects.filter(name=Heartbeat.CLOCKWORK).first()
    if beat is None:
        raise NotWell("No worker has reported yet; start the worker and beat processes.")
    age = now - beat.at
    if age > HEARTBEAT_AGE:
        raise NotWell(f"Last sign of life {_seconds(age)} ago; see whether worker and beat run.")
    return f"{_seconds(age)} ago"


def _letters(now: datetime) -> str:
    oldest = WebhookEvent.objects.due(now).order_by("next_attempt_at").first()
    if oldest is None:
        return "none waits"
    age = now - oldest.next_attempt_at
    if age > LETTER_AGE:
        raise NotWell(f"Stripe's oldest unread event waits for {_seconds(age)}; see whether a worker runs.")
    return f"the oldest waits for {_seconds(age)}"


def _seconds(age: timedelta) -> str:
    return f"{max(0, int(age.total_seconds()))} s"


CHECKS = (
    Check("database", True, _database),
    Check("migrations", True, _migrations),
    Check("stripe", True, _stripe),
    Check("broker", False, _broker),
    Check("clockwork", False, _clockwork),
    Check("webhooks", False, _letters),
)
