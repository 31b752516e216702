"""What is told when a bank asks for a payment back, and when that is over."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account
from accounts.notifications import notify

KINDS = {"open": "dispute_opened", "lost": "dispute_lost", "": "dispute_won"}


def tell(account: Account, *, state: str, version: int, now: datetime) -> None:
    """The gravest of the account's disputes is now `state`. In the transaction that writes it.

    version  the account's access version after it, which names this turn of things
    """
    kind = KINDS[state]
    notify(account=account, kind=kind, key=f"{kind}:{version}", now=now, context={"state": state or "won"})
