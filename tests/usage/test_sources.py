"""Where units come from: the allowance, what was rolled over, what is forgiven once, credits, and what is paid for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Account, Member, User
from billing import credits
from billing.models import CreditEntry, CreditGrant
from tests.usage.conftest import NOON, assert_books_agree, subscribe
from usage import budgets, metering
from usage.models import MeterEvent, UsageCounter, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
BOUGHT = NOON - 5 * DAY
Use = Callable[..., metering.Receipt]


@pytest.fixture(autouse=True)
def _units_from_everywhere(settings: Any, _counting_house: None) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).with_name("sources.toml"))


@pytest.fixture
def use(generate: Any) -> Use:
    def act(feature: str, units: int = 1, **more: Any) -> metering.Receipt:
        receipt: metering.Receipt = generate(units, feature=feature, **more)
        return receipt

    return act


def from_where(receipt: metering.Receipt) -> dict[str, int]:
    return {source.kind: source.units for source in receipt.sources}


def give(account: Account, feature: str, units: int, **more: Any) -> CreditGrant:
    return credits.give(
        account=account,
        feature=feature,
        units=units,
        source="gift",
        source_key=f"test:{CreditGrant.objects.count()}",
        reason="a test",
        **{"now": BOUGHT, **more},
    )


# --- Included, then paid by the unit


def test_what_is_included_costs_nothing_and_the_rest_is_paid_by_the_unit(account: Account, use: Use) -> None:
    subscribe(account, "pages", anchor=BOUGHT)

    included, across, paid = use("pages", 90), use("pages", 30, key="across"), use("pages", 5)

    assert (from_where(included), included.cost) == ({"allowance": 90}, 0)
    assert (from_where(across), across.cost, across.currency) == ({"allowance": 10, "paid": 20}, 60, "usd")
    assert (from_where(paid), paid.cost) == ({"paid": 5}, 15)
    assert (paid.used, paid.limit, paid.remaining) == (125, None, None)
    assert list(MeterEvent.objects.order_by("id").values_list("units", flat=True)) == [20, 5]
    balance = metering.balance(account, "pages", now=NOON)
    assert (balance.used, balance.included, balance.billed, balance.cost) == (125, 100, 25, 75)
    assert_books_agree(account)


def test_an_act_sent_again_says_again_where_its_units_came_from(account: Account, use: Use) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    first = use("pages", 130, key="job")
    use("pages", 7)

    again = use("pages", 130, key="job")

    assert (again.sources, again.cost, again.replayed) == (first.sources, first.cost, True)
    assert MeterEvent.objects.count() == 2


def test_paid_by_the_unit_alone_has_no_limit_and_every_unit_is_billed(account: Account, use: Use) -> None:
    subscribe(account, "talk", anchor=BOUGHT)

    costs = [use("minutes", units).cost for units in (4, 10, 10, 1)]

    # 5 cents up to the tenth, 3 up to the twentieth, 1 beyond: whatever the size of the steps.
    assert costs == [20, 6 * 5 + 4 * 3, 6 * 3 + 4 * 1, 1]
    assert UsageCounter.objects.get().billed == 25
    assert metering.balance(account, "minutes", now=NOON).cost == sum(costs)
    assert_books_agree(account)


def test_a_month_later_the_included_units_are_back(account: Account, use: Use) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    use("pages", 150)

    later = use("pages", 150, now=NOON + 31 * DAY)

    assert (from_where(later), later.used) == ({"allowance": 100, "paid": 50}, 150)
    assert_books_agree(account)


# --- Budgets in money


def test_at_the_budget_paid_use_stops_to_the_cent(account: Account, use: Use) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=100, now=NOON, by=None)

    use("pages", 120)
    assert use("pages", 13).remaining == 0
    with pytest.raises(metering.BudgetReached) as refused:
        use("pages")

    assert UsageRecord.objects.filter(billed__gt=0).count() == 2
    assert (refused.value.reason, refused.value.used, refused.value.limit) == ("budget_reached", 133, 133)
    assert refused.value.helps == ("raise_budget", "wait")
    assert refused.value.comes_back_at == BOUGHT.replace(month=12)
    assert metering.balance(account, "pages", now=NOON).cost == 99
    assert_books_agree(account)


def test_a_raised_budget_opens_at_once_and_one_below_what_was_spent_takes_nothing_back(
    account: Account, use: Use
) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=30, now=NOON, by=None)
    use("pages", 110)

    budgets.set_budget(account=account, amount=60, now=NOON, by=None)
    assert use("pages", 10).remaining == 0
    budgets.set_budget(account=account, amount=0, now=NOON, by=None)
    with pytest.raises(metering.BudgetReached) as refused:
        use("pages")

    assert (refused.value.used, refused.value.remaining) == (120, 0)
    budgets.clear_budget(account=account)
    assert use("pages", 1000).remaining is None
    assert_books_agree(account)


def test_one_budget_holds_for_all_features_and_windows_of_the_billing_month(
    account: Account, use: Use
) -> None:
    subscribe(account, "both", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=100, now=NOON, by=None)

    use("calls", 14)  # four beyond today's ten: 20 cents
    use("calls", 16, now=NOON + DAY)  # six beyond tomorrow's: 30 cents
    use("pages", 20, now=NOON + DAY)  # ten beyond the month's: 30 cents
    with pytest.raises(metering.BudgetReached):
        use("pages", 7, now=NOON + DAY)
    with pytest.raises(metering.BudgetReached):
        use("calls", 5, now=NOON + DAY)

    assert from_where(use("pages", 5, now=NOON + DAY)) == {"paid": 5}
    assert from_where(use("calls", 10, now=NOON + 2 * DAY)) == {"allowance": 10}
    assert from_where(use("calls", 1, now=NOON + 2 * DAY)) == {"paid": 1}
    with pytest.raises(metering.BudgetReached):
        use("pages", now=NOON + 2 * DAY)
    assert sum(UsageRecord.objects.values_list("cost", flat=True)) == 100
    # A new billing month.
    assert use("calls", 30, now=BOUGHT + 31 * DAY).cost == 100
    assert_books_agree(account)


def test_a_budget_over_steps_of_prices_stops_before_the_unit_it_does_not_cover(
    account: Account, use: Use
) -> None:
    subscribe(account, "talk", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=58, now=NOON, by=None)

    assert use("minutes", 12).cost == 56
    with pytest.raises(metering.BudgetReached):
        use("minutes", 1)

    budgets.set_budget(account=account, amount=59, now=NOON, by=None)
    assert use("minutes", 1).cost == 3


# --- Credits


def test_credits_are_drawn_when_the_allowance_is_used_up_and_before_anything_is_paid(
    account: Account, use: Use
) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    give(account, "pages", 20)

    receipt = use("pages", 125, key="job")

    assert from_where(receipt) == {"allowance": 100, "credits": 20, "paid": 5}
    assert receipt.cost == 15
    assert from_where(use("pages", 125, key="job")) == from_where(receipt)
    assert from_where(use("pages", 2)) == {"paid": 2}
    assert CreditGrant.objects.get().remaining == 0
    assert MeterEvent.objects.order_by("id").first().units == 5  # type: ignore[union-attr]
    assert_books_agree(account)


def test_credits_keep_for_the_next_month_and_pay_for_what_the_plan_does_not_have(
    account: Account, use: Use
) -> None:
    give(account, "prints", 10)

    assert from_where(use("prints", 4)) == {"credits": 4}
    later = use("prints", 6, now=NOON + 40 * DAY)

    assert (from_where(later), later.limit, later.remaining) == ({"credits": 6}, 6, 0)
    with pytest.raises(metering.Refused):
        use("prints", now=NOON + 40 * DAY)
    assert_books_agree(account)


def test_a_refused_act_burns_no_credits(account: Account, use: Use) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    give(account, "prints", 10)

    with pytest.raises(metering.AllowanceExhausted) as refused:
        use("prints", 131)

    assert refused.value.helps == ("buy_credits", "wait")
    assert CreditGrant.objects.get().remaining == 10
    assert not CreditEntry.objects.filter(kind="burn").exists()
    # All there is: the allowance, what is forgiven once, the credits.
    assert from_where(use("prints", 130)) == {"allowance": 100, "forgiven": 20, "credits": 10}
    assert_books_agree(account)


def test_credits_whose_time_is_over_are_not_drawn(account: Account, use: Use) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    give(account, "pages", 20, expires_at=NOON)

    assert from_where(use("pages", 101)) == {"allowance": 100, "paid": 1}


# --- Rolled over


def test_what_is_left_rolls_over_as_far_and_as_long_as_the_plan_says(account: Account, use: Use) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 40)

    def month(number: int) -> datetime:
        return datetime(2026 + (10 + number) // 12, (10 + number) % 12 + 1, 16, tzinfo=UTC)

    second = use("prints", 10, now=month(1))
    # 60 were left of the first month; they are used before the second month's own.
    assert (second.limit, second.remaining) == (160, 150)
    third = use("prints", 1, now=month(2))
    # 50 of the first month and 100 of the second: 150 is the cap.
    assert (third.limit, third.remaining) == (250, 249)
    # The first month's have lapsed; one was used. 100 of the second and 100 of the third are over the cap.
    assert use("prints", 1, now=month(3)).limit == 250
    assert_books_agree(account)


def test_windows_nobody_used_roll_over_too_but_none_from_before_the_purchase(
    account: Account, use: Use
) -> None:
    subscribe(account, "press", anchor=BOUGHT)

    assert use("prints", now=NOON).limit == 100
    assert use("prints", now=NOON + 92 * DAY).limit == 250


def test_days_roll_over_by_the_calendar(account: Account, use: Use) -> None:
    use("drafts", 1)

    assert use("drafts", 1, now=NOON + DAY).limit == 8  # cap: 5 of what the days before left
    assert use("drafts", 8 - 1, now=NOON + DAY).remaining == 0
    assert use("drafts", 3, now=NOON + 2 * DAY).limit == 3
    with pytest.raises(metering.AllowanceExhausted):
        use("drafts", now=NOON + 2 * DAY)


def test_a_balance_before_the_first_use_says_what_the_first_use_will_find(account: Account, use: Use) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 40)
    later = NOON + 31 * DAY

    before = metering.balance(account, "prints", now=later)
    assert (before.limit, before.rolled_over, before.included) == (160, 60, 100)

    assert use("prints", now=later).limit == 160


def test_a_plan_without_rollover_keeps_nothing_of_it(account: Account, use: Use) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 40)
    assert use("prints", 10, now=NOON + 31 * DAY).limit == 160

    subscribe(account, "pages", anchor=BOUGHT)

    with pytest.raises(metering.FeatureNotIncluded):
        use("prints", now=NOON + 31 * DAY)


# --- Forgiven once


def test_the_first_time_beyond_the_allowance_is_forgiven_and_the_second_is_not(
    account: Account, use: Use
) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 95)

    forgiven = use("prints", 15, key="job")

    assert from_where(forgiven) == {"allowance": 5, "forgiven": 10}
    assert from_where(use("prints", 15, key="job")) == {"allowance": 5, "forgiven": 10}
    # The occasion lasts for the window: what is left of it is there for the next act.
    assert from_where(use("prints", 10)) == {"forgiven": 10}
    with pytest.raises(metering.AllowanceExhausted):
        use("prints")
    later = NOON + 31 * DAY
    assert use("prints", 100, now=later).remaining == 0
    with pytest.raises(metering.AllowanceExhausted):
        use("prints", now=later)
    assert_books_agree(account)


def test_what_is_too_much_even_with_forgiveness_does_not_spend_it(account: Account, use: Use) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 100)

    with pytest.raises(metering.AllowanceExhausted):
        use("prints", 21)

    assert not CreditGrant.objects.exists()
    assert from_where(use("prints", 20)) == {"forgiven": 20}


# --- Members' budgets


def test_a_member_stops_at_their_own_budget_and_the_others_go_on(
    account: Account, use: Use, bob: User, alice: User
) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    use("prints", 7, user=bob)
    budgets.set_member_budget(account=account, user=bob, feature="prints", units=10, now=NOON, by=alice)

    assert use("prints", 3, user=bob).used == 10
    with pytest.raises(metering.MemberBudgetReached) as refused:
        use("prints", 1, user=bob)

    assert (refused.value.reason, refused.value.used, refused.value.limit) == (
        "member_budget_reached",
        10,
        10,
    )
    assert refused.value.helps == ("ask_an_admin", "wait")
    assert use("prints", 50, user=alice).used == 60
    assert use("prints", 5).used == 65
    assert use("prints", 10, user=bob, now=NOON + 31 * DAY).used == 10
    assert_books_agree(account)


def test_an_act_the_account_has_no_units_for_does_not_count_against_the_member(
    account: Account, use: Use, bob: User, alice: User
) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    budgets.set_member_budget(account=account, user=bob, feature="prints", units=125, now=NOON, by=alice)
    use("prints", 120, user=alice)

    with pytest.raises(metering.AllowanceExhausted):
        use("prints", 1, user=bob)
    give(account, "prints", 125)

    assert use("prints", 125, user=bob).used == 245
    with pytest.raises(metering.MemberBudgetReached):
        use("prints", 1, user=bob)


def test_while_nobody_had_a_budget_members_were_counted_all_the_same(
    account: Account, use: Use, bob: User, alice: User
) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    budgets.set_member_budget(account=account, user=bob, feature="prints", units=10, now=NOON, by=alice)
    use("prints", 4, user=bob)
    budgets.clear_member_budget(account=account, user=bob, feature="prints")
    use("prints", 4, user=bob)

    budgets.set_member_budget(account=account, user=bob, feature="prints", units=10, now=NOON, by=alice)

    assert use("prints", 2, user=bob).used == 10
    with pytest.raises(metering.MemberBudgetReached):
        use("prints", 1, user=bob)


def test_a_guest_uses_nothing_whatever_the_budget(account: Account, use: Use, bob: User) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    Member.objects.filter(account=account, user=bob).update(role="guest")

    with pytest.raises(metering.FeatureNotIncluded, match="Guests"):
        use("prints", user=bob)
