"""`manage.py explain ACCOUNT`: why this account was charged, blocked or limited, down to the row."""

from __future__ import annotations

import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from billing import clock
from usage import explaining


class Command(BaseCommand):
    help = "Say why an account was charged, blocked or limited. Takes its id or a member's e-mail address."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="the account's id, or the e-mail address of one of its members")

    def handle(self, *args: Any, **options: Any) -> None:
        for account in _accounts(options["account"]):
            for part in explaining.explain(account, now=clock.now(account)):
                self.stdout.write(self.style.MIGRATE_HEADING(part.title))
                for line in part.lines:
                    self.stdout.write(f"  {line}")


def _accounts(named: str) -> list[Account]:
    try:
        found = list(Account.objects.filter(pk=uuid.UUID(named)))
    except ValueError:
        found = list(Account.objects.filter(members__user__email__iexact=named).order_by("created_at"))
    if not found:
        raise CommandError(f"There is no account {named!r}, and nobody of that address is in one.")
    return found
