"""Whatever somebody buys, breaks off, lets run out and buys again: no month's allowance is had twice."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account, User
from billing import grants
from billing.models import Subscription
from tests.usage.conftest import NOON, assert_books_agree, opened, subscribe
from usage import metering, periods
from usage.models import UsageCounter

pytestmark = pytest.mark.django_db(transaction=True)

PAID, FREE = 100, 5  # units a month on the plan "hundred" and for nothing
SHORTEST_MONTH = 28

steps = st.lists(
    st.tuples(
        st.sampled_from(["buy", "buy and cancel", "break off", "wait"]),
        st.integers(min_value=0, max_value=35),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_who_spends_all_there_is_at_every_step_has_one_allowance_a_month(
    alice: User, steps: list[tuple[str, int]]
) -> None:
    account, now, spent = opened(alice), NOON, 0
    for step, days in steps:
        _do(step, account, now)
        spent += _spend_all(account, now)
        now += timedelta(days=days)
        spent += _spend_all(account, now)

        months = 1 + (now - NOON).days // SHORTEST_MONTH
        assert spent <= months * (PAID + FREE)
    assert_books_agree(account)
    for counter in UsageCounter.objects.filter(account=account):
        assert counter.used - counter.carried <= PAID


def _do(step: str, account: Account, now: datetime) -> None:
    live = Subscription.objects.filter(account=account, is_live=True).first()
    if live is not None and live.cancel_at_period_end and live.current_period_end <= now:
        _end(live, at=live.current_period_end)  # Stripe's letter about it has come
        live = None
    if step.startswith("buy") and live is None:
        month = periods.containing(now=now, per="month", anchor=now)
        ending: dict[str, Any] = {}
        if step == "buy and cancel":
            ending = {"cancel_at_period_end": True, "current_period_end": month.end}
        subscribe(account, "hundred", anchor=now, **ending)
    elif step == "break off" and live is not None:
        _end(live, at=now)


def _end(live: Subscription, *, at: datetime) -> None:
    Subscription.objects.filter(pk=live.pk).update(status="canceled", is_live=False, ended_at=at)
    grants.rights_changed(live.account)


def _spend_all(account: Account, now: datetime) -> int:
    left = metering.balance(account, "generations", now=now).remaining
    assert left is not None
    if left:
        metering.consume(
            account=account, feature="generations", units=left, idempotency_key=uuid.uuid4().hex, now=now
        )
    return left
