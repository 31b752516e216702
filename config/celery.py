"""Celery: the app, and everything that happens on a clock. Tasks are nudges; the database is the queue."""

import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_init, worker_init, worker_ready

from config import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tallyhouse")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

broker.survive_loss()

# Name → task and seconds (or crontab). A missed turn loses nothing: each task looks for what is due.
app.conf.beat_schedule = {
    "the worker and beat are alive": {"task": "config.tasks.note_heartbeat", "schedule": 15.0},
    # Whatever no nudge announced: a broker that was away, a worker that died, a delay that is over.
    "Stripe's letters are read": {"task": "billing.tasks.read_letters", "schedule": 20.0},
    "accounts left in the middle of a sync are synced": {"task": "billing.tasks.sync_owed", "schedule": 60.0},
    "plans that ran out without a word are asked about": {
        "task": "billing.tasks.ask_about_doubtful",
        "schedule": 3600.0,
    },
    "people are told of dates that are near": {"task": "billing.tasks.tell_ahead", "schedule": 3600.0},
    "credits whose time is over are written off": {
        "task": "billing.tasks.expire_credits",
        "schedule": 3600.0,
    },
    "price rises under way go on": {"task": "billing.tasks.carry_price_rises_on", "schedule": 600.0},
    "what is owed leaves the building": {"task": "billing.tasks.deliver_effects", "schedule": 60.0},
    "people are told what became true": {
        "task": "accounts.tasks.deliver_notifications",
        "schedule": 20.0,
    },
    "metered units reach Stripe well before the invoice closes": {
        "task": "usage.tasks.deliver_meter_events",
        "schedule": 15.0,
    },
    "thresholds of allowances and sums are seen": {
        "task": "usage.tasks.look_for_crossings",
        "schedule": 30.0,
    },
    "what is kept above a smaller plan is flagged": {
        "task": "usage.tasks.look_for_shrunk_plans",
        "schedule": 60.0,
    },
    "allowances that are back are told": {"task": "usage.tasks.tell_of_returns", "schedule": 300.0},
    "metered units are complete when a period ends": {
        "task": "usage.tasks.close_meter_periods",
        "schedule": 60.0,
    },
    "what is paid in a currency without a price is told to staff": {
        "task": "billing.tasks.compare_currencies",
        "schedule": 3600.0,
    },
    "old letters lose their words": {
        "task": "billing.tasks.prune_letters",
        "schedule": crontab(hour=3, minute=40),
    },
    "Stripe's meters are compared with what was used": {
        "task": "usage.tasks.reconcile_meters",
        "schedule": crontab(hour=4, minute=20),
    },
}


@worker_init.connect
@beat_init.connect
def _refuse_a_wrong_environment(**_: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    from billing import checks

    try:
        checks.refuse_to_start()
    except ImproperlyConfigured as refusal:
        raise SystemExit(str(refusal)) from None  # Celery swallows any other exception of a receiver


@worker_ready.connect
def _note_heartbeat_at_once(**_: Any) -> None:
    """So that /readyz need not wait for beat's first turn."""
    from config.tasks import note_heartbeat

    note_heartbeat()
