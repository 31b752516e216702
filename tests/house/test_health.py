"""What a balancer and an operator read at /healthz and /readyz."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from billing.models import WebhookEvent
from config.models import Heartbeat
from config.tasks import note_heartbeat


@pytest.fixture
def clockwork(db: None) -> None:
    """A worker that has just reported."""
    note_heartbeat()


def test_a_process_that_answers_is_up(client: Client) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "up"})


def test_everything_in_order_is_ready(client: Client, clockwork: None) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.json()
    assert answer["Cache-Control"].startswith("max-age=0")


def test_without_a_worker_the_site_still_serves_and_says_what_is_missing(client: Client, db: None) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert "start the worker and beat" in answer.json()["checks"]["clockwork"]["says"]


def test_a_worker_that_stopped_reporting_is_noticed(client: Client, clockwork: None) -> None:
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=75))

    said = client.get("/readyz").json()["checks"]["clockwork"]

    assert said == {"ok": False, "says": "Last sign of life 75 s ago; see whether worker and beat run."}


def test_webhooks_nobody_reads_are_noticed(client: Client, clockwork: None) -> None:
    then = timezone.now() - timedelta(minutes=10)
    WebhookEvent.objects.create(
        stripe_event_id="evt_1",
        type="invoice.paid",
        livemode=False,
        payload={},
        event_created_at=then,
        received_at=then,
        next_attempt_at=then,
    )

    answer = client.get("/readyz").json()

    assert answer["status"] == "degraded"
    assert "waits for 600 s" in answer["checks"]["webhooks"]["says"]


def test_without_a_stripe_key_it_is_not_ready(client: Client, clockwork: None, settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = ""

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "unready")
    assert answer.json()["checks"]["stripe"]["says"] == "STRIPE_SECRET_KEY is not set."


def test_no_secret_is_in_the_answer(client: Client, clockwork: None, settings: Any) -> None:
    said = client.get("/readyz").content.decode()

    for secret in (settings.STRIPE_SECRET_KEY, *settings.STRIPE_WEBHOOK_SECRETS, settings.SECRET_KEY):
        assert secret not in said


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
