"""`manage.py read_letters`: read Stripe's letters that are due, here and now, without Celery."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from billing import clock, effects
from billing.models import WebhookEvent
from billing.stripe import inbox


class Command(BaseCommand):
    help = "Read the letters from Stripe that are due and deliver what is owed, then say what is left."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, default=1000, help="at most so many letters (1000)")

    def handle(self, *args: Any, **options: Any) -> None:
        read = 0
        while read < options["limit"]:
            helping = inbox.drain(now=clock.wall(), limit=options["limit"] - read)
            if not helping:
                break
            read += helping
        delivered = effects.deliver_owed(now=clock.wall())
        waiting = WebhookEvent.objects.filter(state__in=WebhookEvent.WAITING).count()
        dead = WebhookEvent.objects.filter(state=WebhookEvent.State.DEAD).count()
        self.stdout.write(
            f"{read} letters read, {delivered} effects delivered; {waiting} wait, {dead} are dead."
        )
