"""`manage.py create_account EMAIL [--organization NAME]`: a person, without the sign-up page."""

import getpass
import os
import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.utils import timezone

from accounts import members, people
from accounts.forms import one_line
from accounts.models import User


class Command(BaseCommand):
    help = (
        "Make a person with a personal account, and with --organization an organization they own. "
        "The password is asked for, or read from the environment variable ACCOUNT_PASSWORD; without either "
        "the person sets one by 'Forgot your password?'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="")
        parser.add_argument("--organization", metavar="NAME")
        parser.add_argument("--staff", action="store_true", help="may open the staff pages")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        now = timezone.now()
        is_new = not User.objects.filter(email__iexact=email).exists()
        user = people.ensure(
            email=email,
            name=one_line(options["name"]),
            password=_password() if is_new else None,
            now=now,
            is_staff=options["staff"],
        )
        self.stdout.write(f"{user.email}: personal account {user.personal_account.pk}")
        if not is_new:
            self.stdout.write("The person was there before and keeps their name, password and rights.")
        if options["organization"]:
            account = members.open_organization(owner=user, name=one_line(options["organization"]), now=now)
            self.stdout.write(f"{account.name}: organization {account.pk}")


def _password() -> str | None:
    password = os.environ.get("ACCOUNT_PASSWORD")
    if password is None and sys.stdin.isatty():
        password = getpass.getpass("Password (empty: none yet): ")
    if not password:
        return None
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    return password
