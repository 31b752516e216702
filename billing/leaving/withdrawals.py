"""Withdrawing from a contract: a declaration is kept, confirmed at once with its date and content, and settled."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from accounts.models import Account
from billing import alerts, effects
from billing.leaving import erasing
from billing.models import Withdrawal

# Without the letters and digits that are mistaken for each other on paper.
ALPHABET = "ABCDEFGHJKMNPQRSTVWXYZ23456789"


class AlreadyDecided(Exception):
    """This declaration was settled or declined before."""


def declare(
    *, name: str, email: str, contract: str, account: Account | None, now: datetime, is_settled: bool = False
) -> Withdrawal:
    """Keep a declaration and owe its confirmation by mail, in one transaction. `now` is wall time.

    `account` is given only where a log-in proves it: a stranger's words never touch an account, and the answer is
    the same whether the address is known or not. Unless it `is_settled`, staff are told.
    """
    with transaction.atomic():
        withdrawal = Withdrawal.objects.create(
            reference="".join(secrets.choice(ALPHABET) for _ in range(10)),
            name=name,
            email=email,
            contract=contract,
            account=account,
            state=Withdrawal.State.SETTLED if is_settled else Withdrawal.State.RECEIVED,
            received_at=now,
            settled_at=now if is_settled else None,
        )
        effects.owe_mail(
            key=f"withdrawal:{withdrawal.reference}",
            to=email,
            subject=f"Your withdrawal {withdrawal.reference} has reached us",
            body=render_to_string(
                "emails/withdrawal.txt", {"withdrawal": withdrawal, "SITE_NAME": settings.SITE_NAME}
            ),
            now=now,
            account=account,
        )
        if not is_settled:
            alerts.raise_alert(
                key=f"withdrawal:{withdrawal.reference}",
                kind="withdrawal",
                # Who it is stands in one place, from where it is erased.
                message=f"Somebody withdraws from a contract, reference {withdrawal.reference}. Find the account by "
                "the address that was given, refund and cancel what is due, and settle it on the staff pages.",
                account=account,
                now=now,
            )
    return withdrawal


def decide(*, withdrawal: Withdrawal, is_granted: bool, note: str, now: datetime) -> None:
    """Staff's answer, which leaves by mail once. `note` is for the customer. Raises AlreadyDecided."""
    with transaction.atomic():
        state = Withdrawal.State.SETTLED if is_granted else Withdrawal.State.DECLINED
        changed = Withdrawal.objects.filter(pk=withdrawal.pk, state=Withdrawal.State.RECEIVED).update(
            state=state, settled_at=now, note=note[:500]
        )
        if not changed:
            raise AlreadyDecided(withdrawal.reference)
        # Under the lock of that update: whoever declared it may have gone since the page was opened.
        withdrawal.refresh_from_db()
        effects.owe_mail(
            key=f"withdrawal_decided:{withdrawal.reference}",
            to=withdrawal.email,
            subject=f"About your withdrawal {withdrawal.reference}",
            body=render_to_string(
                "emails/withdrawal_decided.txt",
                {
                    "withdrawal": withdrawal,
                    "is_granted": is_granted,
                    "note": note,
                    "SITE_NAME": settings.SITE_NAME,
                },
            ),
            now=now,
            account=withdrawal.account,
            is_forgotten_once_sent=withdrawal.is_erased_once_decided,
        )
        if withdrawal.is_erased_once_decided:
            erasing.of_withdrawal(withdrawal)
