"""Around a piece of work: held before it, counted after it, given back when it fails.

with metering.hold(account=account, feature="tokens", units=4_000, idempotency_key=f"chat-{chat.pk}", now=now) as held:
    answer = model.ask(question)
    held.settle(answer.tokens)
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from accounts.models import Account, ApiKey, User
from usage.metering import reserving, settling
from usage.metering.receipts import Receipt
from usage.metering.reserving import HOLDS_FOR, Hold
from usage.metering.settling import Beyond


class WorkRepeated(Exception):
    """Work of this key was begun before: it is under way, done or given up. It was not begun again."""


class Held:
    """Units set aside for the work in the block; `receipt` is there once it is settled."""

    def __init__(self, account: Account, hold: Hold, *, now: datetime, beyond: Beyond) -> None:
        self.hold = hold
        self.receipt: Receipt | None = None
        self.is_released = False
        self._account, self._beyond = account, beyond
        # The caller's time goes on by as much as the work takes, whatever clock it came from.
        self._now, self._started = now, time.monotonic()

    def settle(self, units: int) -> Receipt:
        """Count what the work took. Raises as `settling.settle` does."""
        self.receipt = settling.settle(
            account=self._account,
            reservation_id=self.hold.id,
            units=units,
            now=self._time(),
            beyond=self._beyond,
        )
        return self.receipt

    def release(self) -> None:
        """Give everything back: nothing was used. What is settled stays counted."""
        if self.receipt is None:
            reserving.release(account=self._account, reservation_id=self.hold.id, now=self._time())
            self.is_released = True

    def _time(self) -> datetime:
        return self._now + timedelta(seconds=time.monotonic() - self._started)


@contextmanager
def hold(
    *,
    account: Account,
    feature: str,
    units: int,
    idempotency_key: str,
    now: datetime,
    holds_for: timedelta = HOLDS_FOR,
    user: User | None = None,
    api_key: ApiKey | None = None,
    beyond: Beyond = "draw",
) -> Iterator[Held]:
    """Do the block while `units` are held for it.

    `held.settle(n)` counts what it took. A block that ends without saying counts all that was held; one that fails
    counts nothing. The key names the work, and work of one key is done once: WorkRepeated when it was begun before.
    Raises as `reserve` and `settle` do.
    """
    reserved = reserving.reserve(
        account=account,
        feature=feature,
        units=units,
        idempotency_key=idempotency_key,
        now=now,
        holds_for=holds_for,
        user=user,
        api_key=api_key,
    )
    if reserved.replayed:
        raise WorkRepeated(
            "This was begun before, so it was not begun again. Look whether it is done; use a new key for new work."
        )
    held = Held(account, reserved, now=now, beyond=beyond)
    try:
        yield held
    except BaseException:
        held.release()
        raise
    if held.receipt is None and not held.is_released:
        held.settle(units)
