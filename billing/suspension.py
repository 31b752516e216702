"""An account put on hold by staff: it reads and exports its own data, and uses and buys nothing, until it is let go."""

from datetime import datetime

from django.db import transaction

from accounts.models import Account
from billing import grants
from billing.lifecycle import customers
from billing.models import Customer


def suspend(*, account: Account, reason: str, now: datetime) -> None:
    """Put `account` on hold at once. What it pays at Stripe is not touched: cancel or refund that by itself."""
    customers.row(account)
    with transaction.atomic():
        Customer.objects.filter(account=account).update(suspended_at=now, suspended_reason=reason[:200])
        grants.rights_changed(account)


def lift(*, account: Account) -> None:
    """Let the account go on; what it may do is what it bought."""
    with transaction.atomic():
        Customer.objects.filter(account=account).update(suspended_at=None, suspended_reason="")
        grants.rights_changed(account)
