"""Accounts on a Stripe test clock: their time stands still until somebody moves it (test mode only).

https://docs.stripe.com/billing/testing/test-clocks
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from django.conf import settings

from accounts.models import Account
from billing import clock
from billing.models import Customer
from billing.stripe import gateway
from billing.stripe.shapes import known_moment

if TYPE_CHECKING:
    from billing.lifecycle.lease import Held


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


def _still_there(customer: Customer) -> bool:
    """Whether the stored clock exists; a clock deleted at Stripe took its customers with it."""
    if not customer.test_clock_id:
        return False
    try:
        gateway.get(path(customer))
    except gateway.NotFound:
        return False
    return True


def path(customer: Customer) -> str:
    return f"/v1/test_helpers/test_clocks/{customer.test_clock_id}"
