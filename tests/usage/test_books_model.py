"""PostgreSQL's function and the portable way lead the same life, step by step, from whatever source units come."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from accounts.models import Account
from billing import credits
from tests import factories
from tests.usage.conftest import NOON, assert_books_agree, opened, subscribe
from usage import budgets, metering, periods
from usage.metering import consuming, portable, verifying
from usage.models import MeterEvent, UsageRecord

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

FEATURES = ["pages", "calls", "minutes", "prints", "drafts"]
START = datetime(2024, 1, 1, tzinfo=UTC)
PLANS = ["pages", "both", "talk", "press"]


class TwoLives(RuleBasedStateMachine):
    """The same things happen to two accounts; one is counted by the function, the other through the ORM."""

    def __init__(self) -> None:
        super().__init__()
        owner = factories.person()
        self.lives = (opened(owner), opened(owner))
        self.owner = owner
        self.now = NOON
        self.steps = 0

    @rule(hours=st.sampled_from([1, 5, 24, 24 * 9, 24 * 31]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(plan=st.sampled_from(PLANS), days=st.integers(0, 20))
    def a_plan_is_bought(self, plan: str, days: int) -> None:
        self.steps += 1
        for life in self.lives:
            subscribe(
                life,
                plan,
                anchor=self.now - timedelta(days=days),
                stripe_subscription_id=f"sub_{self.steps}_{life.pk.hex}",
            )

    @rule(feature=st.sampled_from(FEATURES), units=st.integers(1, 60))
    def credits_are_given(self, feature: str, units: int) -> None:
        self.steps += 1
        for life in self.lives:
            credits.give(
                account=life,
                feature=feature,
                units=units,
                source="gift",
                source_key=f"{self.steps}:{life.pk}",
                reason="a test",
                now=self.now,
                expires_at=self.now + timedelta(days=units),
            )

    @rule(amount=st.sampled_from([None, 0, 30, 100]))
    def a_budget_is_set(self, amount: int | None) -> None:
        for life in self.lives:
            if amount is None:
                budgets.clear_budget(account=life)
            else:
                budgets.set_budget(account=life, amount=amount, now=self.now, by=self.owner)

    @rule(units=st.sampled_from([5, 30]))
    def the_owner_gets_a_budget(self, units: int) -> None:
        for life in self.lives:
            budgets.set_member_budget(
                account=life, user=self.owner, feature="prints", units=units, now=self.now, by=self.owner
            )

    @rule(
        feature=st.sampled_from(FEATURES),
        units=st.sampled_from([1, 3, 9, 40, 110]),
        key=st.integers(0, 60),
        by_owner=st.booleans(),
    )
    def units_are_used(self, feature: str, units: int, key: int, by_owner: bool) -> None:
        answers = [self._use(life, way, feature, units, key, by_owner) for way, life in enumerate(self.lives)]

        assert answers[0] == answers[1]

    def _use(self, life: Account, way: int, feature: str, units: int, key: int, by_owner: bool) -> Any:
        usual = consuming._attempt
        if way:
            consuming._attempt = portable.attempt  # the other way into the same books
        try:
            receipt = metering.consume(
                account=life,
                feature=feature,
                units=units,
                idempotency_key=f"key-{key}",
                now=self.now,
                user=self.owner if by_owner else None,
            )
        except metering.Refused as refused:
            return (refused.reason, refused.used, refused.limit, refused.comes_back_at)
        except metering.IdempotencyConflict:
            return "conflict"
        finally:
            consuming._attempt = usual
        return (
            receipt.used,
            receipt.limit,
            receipt.remaining,
            receipt.resets_at,
            receipt.sources,
            receipt.cost,
            receipt.replayed,
        )

    @invariant()
    def both_have_the_same_books(self) -> None:
        one, other = (
            list(
                UsageRecord.objects.filter(account=life)
                .order_by("id")
                .values_list(
                    "units", "credited", "billed", "cost", "used_after", "limit_at_grant", "recorded_at"
                )
            )
            for life in self.lives
        )
        assert one == other

    def teardown(self) -> None:
        for life in self.lives:
            assert_books_agree(life)
            assert verifying.differences(life) == []
        owed = [
            list(
                MeterEvent.objects.filter(account=life)
                .order_by("record_id")
                .values_list("units", "event_name", "occurred_at")
            )
            for life in self.lives
        ]
        assert owed[0] == owed[1]


def test_the_function_and_the_portable_way_lead_the_same_life(
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("settings").BILLING_CATALOG = str(Path(__file__).with_name("sources.toml"))
    run_state_machine_as_test(TwoLives, settings=_SETTINGS)


_SETTINGS = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    # A failure is told as it was found: making it smaller would take minutes of database time.
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@given(
    anchor=st.integers(0, 4017 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds)),
    ahead=st.timedeltas(timedelta(0), timedelta(days=731)),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_months_are_the_same_in_the_database_and_in_the_house(anchor: datetime, ahead: timedelta) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT starts_at, ends_at FROM usage_month(%s, %s)", [anchor, anchor + ahead])
        found = periods.Period(*cursor.fetchone())

    assert found == periods.containing(now=anchor + ahead, per="month", anchor=anchor)
