"""`manage.py issue_api_key --service --name N` or `--account ID --name N`: prints a key, this once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts import api_keys
from accounts.forms import one_line
from accounts.models import Account, ApiKey


class Command(BaseCommand):
    help = "Issue an API key. It is printed once and cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        kind = parser.add_mutually_exclusive_group(required=True)
        kind.add_argument("--service", action="store_true", help="a key that names the account in each call")
        kind.add_argument("--account", metavar="ID", help="a key that acts for this account")
        parser.add_argument("--name", required=True, help="what the key is for, shown in lists")
        parser.add_argument("--days", type=int, help="stop working after this many days")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days must be 1 or more.")
        now = timezone.now()
        account = _account(options["account"]) if options["account"] else None
        _, key_text = api_keys.issue(
            kind=ApiKey.Kind.ACCOUNT if account else ApiKey.Kind.SERVICE,
            name=one_line(options["name"])[:80],
            now=now,
            account=account,
            expires_at=now + timedelta(days=options["days"]) if options["days"] else None,
        )
        self.stderr.write("Keep this key now: it cannot be shown again.")
        self.stdout.write(key_text)


def _account(text: str) -> Account:
    try:
        return Account.objects.get(pk=UUID(text))
    except (ValueError, Account.DoesNotExist) as error:
        raise CommandError(
            f"There is no account {text!r}. Its id is in the staff pages, under Accounts."
        ) from error
