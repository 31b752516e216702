"""Accounts on a Stripe test clock: their time stands still until somebody moves it (test mode only).

https://docs.stripe.com/billing/testing/test-clocks
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.models import Account
from billing import clock
from billing.models import Customer
from billing.stripe import gateway
from billing.stripe.shapes import known_moment

if TYPE_CHECKING:
    from billing.lifecycle.lease import Held

# Stripe advances a clock by at most two intervals of its shortest subscription, and we sell by the month or
# longer.
LONGEST_STEP = timedelta(days=2 * 28)
READY_SECONDS = 60.0


class NotOnAClock(Exception):
    """The account's customer lives in real time, or is not at Stripe yet."""


class BackwardsInTime(ValueError):
    """Test clocks only go forwards."""


class ClockStuck(Exception):
    """Stripe did not finish advancing the clock in time; it may still do so."""


def ensure(*, account: Account, held: Held) -> None:
    """Give an account that is not at Stripe yet a clock of its own, where settings ask for it (STRIPE_TEST_CLOCKS).

    The clock is stored before the customer is made on it, because it is part of what the customer's key
    stands for.
    """
    customer = held.customer
    if settings.STRIPE_LIVE_MODE or not settings.STRIPE_TEST_CLOCKS or _still_there(customer):
        return
    # The next whole second: nobody's time goes back, not even by a fraction.
    start = math.ceil(max(clock.wall(), customer.clock_now or clock.wall()).timestamp())
    # A crash before the commit leaves an empty clock behind, which Stripe removes by itself after 30 days.
    made = gateway.post(
        "/v1/test_helpers/test_clocks",
        {"frozen_time": start, "name": str(account.pk)},
        idempotency_key=f"clock:{customer.creation_key}:{start}",
    )
    with held.saving() as locked:
        locked.test_clock_id = made["id"]
        locked.clock_now = known_moment(made["frozen_time"])
        locked.save(update_fields=["test_clock_id", "clock_now"])


def advance(*, account: Account, to: datetime) -> datetime:
    """Move the account's clock to `to` (aware) and follow what Stripe did meanwhile; answers the clock's new time.

    An account that is not at Stripe yet gets its customer and clock first, where settings ask for clocks.
    Raises NotOnAClock, BackwardsInTime, ClockStuck, lease.LeaseTaken and the gateway's errors. Goes in steps,
    because Stripe allows two billing intervals at once; each step is waited for, and the account is synced
    after it.
    """
    # These make customers on clocks, so they import this module.
    from billing.lifecycle import customers, lease, subscriptions

    customer = customers.row(account)
    if settings.STRIPE_TEST_CLOCKS and not customer.stripe_customer_id:
        with lease.hold(account=account, purpose="clock", wait_seconds=5) as held:
            customer = customers.ensure(account=account, held=held)
    if not customer.test_clock_id:
        raise NotOnAClock(
            f"{account} lives in real time: only customers on a test clock can be fast-forwarded."
        )
    now = known_moment(gateway.get(_path(customer))["frozen_time"])
    if to < now:
        raise BackwardsInTime(f"{account} is already at {now:%Y-%m-%d %H:%M} UTC; time only goes forwards.")
    # Stripe's clocks show whole seconds; the next one is not before `to`.
    for step in _steps(now, known_moment(math.ceil(to.timestamp()))):
        gateway.post(
            f"{_path(customer)}/advance",
            {"frozen_time": int(step.timestamp())},
            idempotency_key=f"advance:{customer.test_clock_id}:{int(step.timestamp())}",
        )
        now = _wait_until_ready(customer)
        Customer.objects.filter(pk=account.pk).update(clock_now=now)
        subscriptions.sync(account=account, reason="clock", wait_seconds=5)
    return now


def _still_there(customer: Customer) -> bool:
    """Whether the stored clock exists; a clock deleted at Stripe took its customers with it."""
    if not customer.test_clock_id:
        return False
    try:
        gateway.get(_path(customer))
    except gateway.NotFound:
        return False
    return True


def _steps(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        start = min(start + LONGEST_STEP, end)
        yield start


def _wait_until_ready(customer: Customer) -> datetime:
    deadline = time.monotonic() + READY_SECONDS
    pause = 0.05
    while True:
        seen = gateway.get(_path(customer))
        if seen["status"] == "ready":
            return known_moment(seen["frozen_time"])
        if seen["status"] == "internal_failure" or time.monotonic() > deadline:
            raise ClockStuck(f"Stripe's test clock {customer.test_clock_id} is {seen['status']}.")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def _path(customer: Customer) -> str:
    return f"/v1/test_helpers/test_clocks/{customer.test_clock_id}"
