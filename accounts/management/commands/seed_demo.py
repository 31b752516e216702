"""`manage.py seed_demo`: the demo's people. Refused elsewhere: everybody knows their password."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import demo


class Command(BaseCommand):
    help = "Make the demo's people and their organization. Safe to run twice."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Demo people have a public password. Set DEMO=1 and DEBUG=1 to have them.")
        organization = demo.seed(now=timezone.now())
        self.stdout.write(f"The demo's people are there; {organization.name} is {organization.pk}.")
