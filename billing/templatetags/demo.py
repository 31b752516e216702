"""What the demo bar says: the account's own time."""

from datetime import datetime

from django import template

from accounts.models import Account
from billing import clock

register = template.Library()


@register.simple_tag
def account_now(account: Account) -> datetime:
    """The time this account lives in."""
    return clock.now(account)
