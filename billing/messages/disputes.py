"""What is told when a bank asks for a payment back, and when that is over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from accounts.notifications import notify

KINDS = {"open": "dispute_opened", "": "dispute_won"}


def tell(account: Account, *, state: str, version: int, now: datetime, **context: Any) -> None:
    """The gravest of the account's disputes is now `state`, "open" or none. In the transaction that writes it.

    version  the account's access version after it, which names this turn of things
    context  what becomes of the plan, when the account was on hold
    """
    kind = KINDS[state]
    told = {"state": state or "won", **context}
    notify(account=account, kind=kind, key=f"{kind}:{version}", now=now, context=told)


def tell_lost(account: Account, *, fact: str, now: datetime, **context: Any) -> bool:
    """The account is on hold; `context` says what becomes of the plan. False when `fact` was told before."""
    kind = "dispute_lost"
    told = {"state": "lost", "plan": "", **context}
    return notify(account=account, kind=kind, key=f"{kind}:{fact}", now=now, context=told) is not None
