"""One change of an account's billing at a time: a lease on its Customer row, with a token that fences late writers."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.models import Account
from billing.lifecycle import customers
from billing.models import Customer

# Far longer than a call to Stripe with its retries; renewed between calls. A killed holder blocks no longer
# than this.
LEASE = timedelta(seconds=90)


class LeaseTaken(Exception):
    """Somebody else is changing this account's billing right now."""


class LeaseLost(Exception):
    """The lease ran out, or another holder has it by now; what was about to be written must not be."""


@contextmanager
def hold(*, account: Account, purpose: str, wait_seconds: float = 0.0) -> Iterator[Held]:
    """Hold the account's lease for the block. Raises LeaseTaken when it is still held after `wait_seconds`.

    Ask Stripe under it, outside any transaction; write in `held.committing()`, which gives the lease back in
    the same commit, or in `held.saving()`, which keeps it. Whatever is still held at the end of the block is
    given back.
    """
    held = _take(account=account, purpose=purpose, wait_seconds=wait_seconds)
    try:
        yield held
    finally:
        held.give_back()


@dataclass
class Held:
    """A lease in our hands. Its time is the database's, so machines need not agree on the hour."""

    account: Account
    token: int

    @property
    def customer(self) -> Customer:
        """The row as it is now, with its account, unlocked: for reading between calls to Stripe."""
        return Customer.objects.select_related("account").get(pk=self.account.pk)

    def renew(self) -> None:
        """Another full term, or LeaseLost. For between two slow calls."""
        if not self._ours().update(lease_expires_at=Now() + LEASE):
            raise LeaseLost(f"The lease {self.token} on {self.account.pk} was lost.")

    @contextmanager
    def saving(self) -> Iterator[Customer]:
        """A short transaction with the row locked and the token checked; the lease is kept and renewed."""
        with transaction.atomic():
            customer = self._ours().select_for_update().first()
            if customer is None:
                raise LeaseLost(f"The lease {self.token} on {self.account.pk} was lost.")
            yield customer
            Customer.objects.filter(pk=customer.pk, lease_expires_at__isnull=False).update(
                lease_expires_at=Now() + LEASE
            )

    @contextmanager
    def committing(self) -> Iterator[Customer]:
        """As `saving`, and the lease is given back in the same commit: the next holder reads what was written."""
        with self.saving() as customer:
            yield customer
            self.give_back()

    def give_back(self) -> None:
        """Free it for the next holder, if it is still ours. Inside `saving` it is freed by that commit."""
        Customer.objects.filter(pk=self.account.pk, lease_token=self.token).update(
            lease_expires_at=None, lease_purpose=""
        )

    def _ours(self) -> QuerySet[Customer]:
        return Customer.objects.filter(pk=self.account.pk, lease_token=self.token, lease_expires_at__gt=Now())


def _take(*, account: Account, purpose: str, wait_seconds: float) -> Held:
    deadline = time.monotonic() + wait_seconds
    pause = 0.02
    while True:
        token = _try(account=account, purpose=purpose)
        if token is not None:
            return Held(account=account, token=token)
        left = deadline - time.monotonic()
        if left <= 0:
            raise LeaseTaken(f"Another change of {account.pk} is in progress.")
        time.sleep(min(left, pause * (0.5 + random.random())))
        pause = min(pause * 1.5, 0.25)


def _try(*, account: Account, purpose: str) -> int | None:
    """Compare and set on the token as it was read: of several who read the same one, one update finds it."""
    seen = customers.row(account).lease_token
    free = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lte=Now())
    taken = Customer.objects.filter(free, pk=account.pk, lease_token=seen).update(
        lease_token=F("lease_token") + 1, lease_expires_at=Now() + LEASE, lease_purpose=purpose[:40]
    )
    return seen + 1 if taken else None
