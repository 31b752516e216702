"""What time it is for an account: its Stripe test clock's time when its customer is on one, else everybody's."""

from datetime import datetime

from django.utils import timezone

from accounts.models import Account
from billing.models import Customer


def now(account: Account) -> datetime:
    """The account's time, aware, UTC. Doors ask here once and hand the answer down.

    A frozen test clock stands still between two advances, and so does everything that belongs to its customer:
    https://docs.stripe.com/billing/testing/test-clocks
    """
    return at(account, now=wall())


def at(account: Account, *, now: datetime) -> datetime:
    """What time it is for the account when it is `now` for everybody."""
    shown = Customer.objects.filter(account=account).values_list("clock_now", flat=True).first()
    return shown or now


def wall() -> datetime:
    """Everybody's time, for doors that act for no account."""
    return timezone.now()
