"""`manage.py replay_webhooks`: put letters from Stripe back among those to read, and read them."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_aware

from billing import clock
from billing.models import WebhookEvent
from billing.stripe import inbox


class Command(BaseCommand):
    help = "Replay Stripe's events: dead ones, one by its id, or all received since a day. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--dead", action="store_true", help="every event that was given up")
        which.add_argument(
            "--failed", action="store_true", help="every event that waits for its next attempt"
        )
        which.add_argument("--id", metavar="evt_…", help="one event")
        which.add_argument("--since", metavar="YYYY-MM-DD[THH:MM]", help="every event received since (UTC)")
        parser.add_argument("--later", action="store_true", help="leave the reading to the workers")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.wall()
        events = list(_chosen(options))
        for event in events:
            inbox.replay(event, now=now)
        self.stdout.write(f"{len(events)} put back to be read.")
        if options["later"]:
            return
        while inbox.drain(now=clock.wall(), limit=inbox.HELPING):
            pass
        for event in events:
            event.refresh_from_db()
            error = f": {event.last_error}" if event.last_error else ""
            self.stdout.write(f"{event.stripe_event_id}  {event.type}  {event.get_state_display()}{error}")


def _chosen(options: dict[str, Any]) -> list[WebhookEvent]:
    if options["dead"]:
        return list(WebhookEvent.objects.filter(state=WebhookEvent.State.DEAD).order_by("pk"))
    if options["failed"]:
        return list(WebhookEvent.objects.filter(state=WebhookEvent.State.FAILED).order_by("pk"))
    if options["id"]:
        found = list(WebhookEvent.objects.filter(stripe_event_id=options["id"]))
        if not found:
            raise CommandError(
                f"No event {options['id']} was received. Look it up in the Stripe Dashboard and resend it."
            )
        return found
    return _since(options["since"])


def _since(text: str) -> list[WebhookEvent]:
    try:
        moment = parse_datetime(f"{text}T00:00" if len(text) == len("2026-11-30") else text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(
            f"{text!r} is no moment. Write it like 2026-11-30 or 2026-11-30T14:00; it is read as UTC."
        )
    if not is_aware(moment):
        moment = moment.replace(tzinfo=UTC)
    return list(WebhookEvent.objects.filter(received_at__gte=moment).order_by("pk"))
