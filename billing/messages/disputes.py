"""What is told when a bank asks for a payment back, and when that is over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Account
from accounts.notifications import notify
from billing.stripe.shapes import Doc


def tell_opened(account: Account, *, dispute: Doc, is_on_hold: bool, now: datetime) -> None:
    """Each dispute once, also beside another one. In the transaction that writes the state."""
    kind = "dispute_opened"
    notify(
        account=account,
        kind=kind,
        key=f"{kind}:{dispute['id']}",
        now=now,
        context={
            "state": "open",
            "amount": dispute["amount"],
            "currency": dispute["currency"],
            "is_on_hold": is_on_hold,
        },
    )


def tell_over(account: Account, *, state: str, version: int, now: datetime, **context: Any) -> None:
    """None is undecided or lost any more, or none is lost any more and `state` is "open": another one is undecided. In
    the transaction that writes it.

    version  the account's access version after it, which names this turn of things
    context  what becomes of the plan, when the account was on hold
    """
    kind = "dispute_won"
    told = {"state": state or "won", **context}
    notify(account=account, kind=kind, key=f"{kind}:{version}", now=now, context=told)


def tell_lost(account: Account, *, fact: str, now: datetime, **context: Any) -> bool:
    """The account is on hold; `context` says what becomes of the plan. False when `fact` was told before."""
    kind = "dispute_lost"
    told = {"state": "lost", "plan": "", **context}
    return notify(account=account, kind=kind, key=f"{kind}:{fact}", now=now, context=told) is not None
