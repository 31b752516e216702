"""Jumps in time of an account on a Stripe test clock: step by step, synced after each (test mode only)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from accounts.models import Account
from billing.lifecycle import customers, lease, subscriptions, test_clocks
from billing.models import Customer
from billing.stripe import gateway
from billing.stripe.shapes import known_moment

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


def advance(*, account: Account, to: datetime) -> datetime:
    """Move the account's clock to `to` (aware) and follow what Stripe did meanwhile; answers the clock's new time.

    An account that is not at Stripe yet gets its customer and clock first, where settings ask for clocks.
    Raises NotOnAClock, BackwardsInTime, ClockStuck, lease.LeaseTaken and the gateway's errors. Goes in steps,
    because Stripe allows two billing intervals at once; each step is waited for, and the account is synced
    after it.
    """
    customer = customers.row(account)
    if settings.STRIPE_TEST_CLOCKS and not customer.stripe_customer_id:
        with lease.hold(account=account, purpose="clock", wait_seconds=5) as held:
            customer = customers.ensure(account=account, held=held)
    if not customer.test_clock_id:
        raise NotOnAClock(
            f"{account} lives in real time: only customers on a test clock can be fast-forwarded."
        )
    now = known_moment(gateway.get(test_clocks.path(customer))["frozen_time"])
    if to < now:
        raise BackwardsInTime(f"{account} is already at {now:%Y-%m-%d %H:%M} UTC; time only goes forwards.")
    # Stripe's clocks show whole seconds; the next one is not before `to`.
    for step in _steps(now, known_moment(math.ceil(to.timestamp()))):
        gateway.post(
            f"{test_clocks.path(customer)}/advance",
            {"frozen_time": int(step.timestamp())},
            idempotency_key=f"advance:{customer.test_clock_id}:{int(step.timestamp())}",
        )
        now = _wait_until_ready(customer)
        Customer.objects.filter(pk=account.pk).update(clock_now=now)
        subscriptions.sync(account=account, reason="clock", wait_seconds=5)
    return now


def _steps(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        start = min(start + LONGEST_STEP, end)
        yield start


def _wait_until_ready(customer: Customer) -> datetime:
    deadline = time.monotonic() + READY_SECONDS
    pause = 0.05
    while True:
        seen = gateway.get(test_clocks.path(customer))
        if seen["status"] == "ready":
            return known_moment(seen["frozen_time"])
        if seen["status"] == "internal_failure" or time.monotonic() > deadline:
            raise ClockStuck(f"Stripe's test clock {customer.test_clock_id} is {seen['status']}.")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
