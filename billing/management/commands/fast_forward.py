"""`manage.py fast_forward ACCOUNT --months 3`: let time pass for one account on a Stripe test clock."""

from __future__ import annotations

import calendar
import uuid
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from billing import clock
from billing.lifecycle import jumps, lease
from billing.models import Subscription
from billing.stripe import gateway
from usage import meters

# Stripe finalizes and charges a renewal about an hour after the period ends; a jump onto the very second of
# it would show an invoice that is still a draft.
SETTLING = timedelta(hours=2)


class Command(BaseCommand):
    help = "Let time pass for one account on a Stripe test clock (test mode only)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", help="Account id, its owner's e-mail address, or its name.")
        for unit in ("months", "weeks", "days"):
            parser.add_argument(f"--{unit}", type=int, default=0, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        account = _find(options["account"])
        months, weeks, days = options["months"], options["weeks"], options["days"]
        if min(months, weeks, days) < 0 or not (months or weeks or days):
            raise CommandError("Say how far: --months, --weeks or --days, as positive whole numbers.")
        now = clock.now(account)
        to = (
            later(now, months=months)
            + timedelta(weeks=weeks, days=days)
            + (SETTLING if months else timedelta())
        )
        try:
            # What was used before the jump is billed before it: beat's next turn would come after.
            meters.deliver(now=clock.wall())
            reached = jumps.advance(account=account, to=to)
        except (jumps.NotOnAClock, jumps.BackwardsInTime, jumps.ClockStuck) as error:
            raise CommandError(str(error)) from error
        except lease.LeaseTaken as error:
            raise CommandError(
                "Another change of this account is in progress. Try again in a moment."
            ) from error
        except gateway.StripeError as error:
            raise CommandError(f"Stripe did not move the clock: {error}") from error
        self.stdout.write(f"It is now {reached:%Y-%m-%d %H:%M} UTC for {account}. {_state(account)}")


def later(moment: datetime, *, months: int) -> datetime:
    """The same day of the month so many months on, or that month's last day when it is shorter."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _find(name: str) -> Account:
    try:
        by_id = Account.objects.filter(pk=uuid.UUID(name))
    except ValueError:
        by_id = Account.objects.none()
    found = (
        by_id
        or Account.objects.filter(person__email__iexact=name)
        or Account.objects.filter(name__iexact=name)
        or Account.objects.filter(members__role="owner", members__user__email__iexact=name)
    )
    if not found:
        raise CommandError(
            f"There is no account {name!r}: give its id, its owner's e-mail address or its name."
        )
    if len(found) > 1:
        ids = ", ".join(f"{account.pk} ({account.name})" for account in found)
        raise CommandError(f"{name!r} names several accounts; use an id: {ids}")
    return found[0]


def _state(account: Account) -> str:
    subscription = Subscription.objects.filter(account=account).order_by("-is_live", "-started_at").first()
    if subscription is None:
        return "It has never had a subscription."
    return f"Its subscription to {subscription.plan_key} is {subscription.status}."
