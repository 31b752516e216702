"""A unit is counted once, never over the limit, and a refusal says what helps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import Account, Member, User
from billing import grants
from billing.models import Customer, Subscription
from tests import factories
from tests.usage.conftest import NOON, assert_books_agree, subscribe
from usage import metering
from usage.models import MeterEvent, UsageCounter, UsageDay, UsageRecord
from usage.standing import slots

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


def test_the_sixth_generation_on_free_is_refused_with_everything_one_needs_to_know(
    account: Account, generate: Any, settings: Any
) -> None:
    for number in range(1, 6):
        assert generate().remaining == 5 - number

    with pytest.raises(metering.AllowanceExhausted) as refused:
        generate()

    assert refused.value.reason == "allowance_exhausted"
    assert (refused.value.used, refused.value.limit, refused.value.remaining) == (5, 5, 0)
    assert refused.value.comes_back_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert refused.value.upgrade_url == settings.BASE_URL + "/pricing/"
    assert "1 December 2026" in str(refused.value)
    assert_books_agree(account)


def test_three_units_with_two_left_count_nothing(account: Account, generate: Any) -> None:
    generate(3)

    with pytest.raises(metering.AllowanceExhausted):
        generate(3)

    assert UsageCounter.objects.get().used == 3
    assert generate(2).remaining == 0
    assert_books_agree(account)


def test_the_same_key_counts_once_and_is_answered_alike(account: Account, generate: Any) -> None:
    first = generate(2, key="job-7")
    generate()

    again = generate(2, key="job-7")

    assert again.replayed
    assert not first.replayed
    assert (again.record_id, again.used, again.remaining, again.resets_at) == (
        first.record_id,
        first.used,
        first.remaining,
        first.resets_at,
    )
    assert UsageCounter.objects.get().used == 3
    assert_books_agree(account)


def test_a_repeated_act_is_answered_even_when_the_allowance_is_used_up_or_gone(
    account: Account, generate: Any
) -> None:
    first = generate(5, key="all")

    assert generate(5, key="all").replayed
    assert generate(5, key="all", now=NOON + 40 * DAY).record_id == first.record_id
    assert UsageRecord.objects.count() == 1


@pytest.mark.parametrize("other", [{"units": 2}, {"feature": "queries"}])
def test_the_same_key_for_something_else_is_a_conflict(generate: Any, other: dict[str, Any]) -> None:
    generate(1, key="job-7")

    with pytest.raises(metering.IdempotencyConflict):
        generate(**{"units": 1, "key": "job-7", **other})

    assert UsageRecord.objects.count() == 1


def test_two_accounts_may_use_the_same_key(account: Account, generate: Any, charlie: User) -> None:
    generate(key="job-1")

    assert not generate(key="job-1", account=charlie.personal_account).replayed


@pytest.mark.parametrize("units", [0, -1, 10**9 + 1, 10**30, 1.5, 1.0, float("nan"), True, "1", None])
def test_units_that_are_no_count_are_refused_and_not_counted(
    account: Account, generate: Any, units: Any
) -> None:
    with pytest.raises(metering.InvalidUnits):
        generate(units)

    assert not UsageRecord.objects.exists()
    assert not UsageCounter.objects.exists()


@pytest.mark.parametrize("key", ["x" * 201, "a\0b", "half a character: \ud800", 7])
def test_a_key_that_names_nothing_is_refused(generate: Any, key: Any) -> None:
    with pytest.raises(metering.InvalidKey):
        generate(key=key)


def test_zero_is_zero(account: Account, generate: Any) -> None:
    with pytest.raises(metering.FeatureNotIncluded) as refused:
        generate(feature="documents")

    assert (refused.value.reason, refused.value.limit) == ("not_included", 0)
    assert not UsageRecord.objects.exists()


def test_what_the_plan_does_not_speak_of_is_not_included(generate: Any) -> None:
    with pytest.raises(metering.FeatureNotIncluded) as refused:
        generate(feature="tokens")

    assert refused.value.reason == "not_included"
    assert refused.value.comes_back_at is None


@pytest.mark.parametrize("feature", ["projects", "api_access", "no such thing", ""])
def test_only_countable_features_are_consumed(generate: Any, feature: str) -> None:
    with pytest.raises(metering.UnknownFeature):
        generate(feature=feature)


def test_unlimited_has_no_numbers_to_run_out_of(account: Account, generate: Any) -> None:
    subscribe(account, "boundless", anchor=NOON - DAY)

    receipt = generate(10**9)

    assert (receipt.used, receipt.limit, receipt.remaining) == (10**9, None, None)
    assert generate(10**9).used == 2 * 10**9


def test_an_upgrade_raises_the_limit_at_once_and_keeps_what_was_used(account: Account, generate: Any) -> None:
    generate(5)

    subscribe(account, "pro", anchor=NOON)

    assert generate().used == 6
    assert generate().remaining == 243
    assert_books_agree(account)


def test_a_plan_change_on_the_same_day_of_the_month_stays_in_the_same_window(
    account: Account, generate: Any
) -> None:
    anchor = NOON - 3 * DAY
    subscribe(account, "hundred", anchor=anchor)
    generate(100)

    subscribe(account, "pro", anchor=anchor)

    assert generate().used == 101
    assert UsageCounter.objects.count() == 1


def test_below_a_lowered_limit_nothing_is_left_and_nothing_is_negative(
    account: Account, generate: Any
) -> None:
    subscribe(account, "pro", anchor=NOON - DAY)
    generate(120)

    subscribe(account, "hundred", anchor=NOON - DAY)

    with pytest.raises(metering.AllowanceExhausted) as refused:
        generate()
    assert (refused.value.used, refused.value.limit, refused.value.remaining) == (120, 100, 0)
    assert metering.balance(account, "generations", now=NOON).remaining == 0


def test_cancelling_and_buying_again_on_the_same_day_does_not_double_the_allowance(
    account: Account, generate: Any
) -> None:
    subscribe(account, "hundred", anchor=NOON - 10 * DAY)
    generate(90)

    subscribe(account, "hundred", anchor=NOON)

    assert metering.balance(account, "generations", now=NOON).remaining == 10
    assert generate(10, now=NOON + DAY).remaining == 0
    with pytest.raises(metering.AllowanceExhausted):
        generate(now=NOON + DAY)
    assert generate(100, now=datetime(2026, 12, 20, 12, tzinfo=UTC)).used == 100
    assert_books_agree(account)


def test_going_back_and_forth_between_anchors_grants_nothing(account: Account, generate: Any) -> None:
    old, new = NOON - 10 * DAY, NOON - DAY
    subscribe(account, "hundred", anchor=old)
    generate(30)
    subscribe(account, "hundred", anchor=new)
    generate(30)
    subscribe(account, "hundred", anchor=old)
    generate(30)
    subscribe(account, "hundred", anchor=new)

    assert metering.balance(account, "generations", now=NOON).used == 90
    assert generate(10).remaining == 0
    assert_books_agree(account)


def test_when_a_paid_month_runs_out_free_gives_what_it_always_gives_and_paying_again_a_whole_month(
    account: Account, generate: Any
) -> None:
    first = datetime(2026, 10, 18, 12, tzinfo=UTC)
    subscribe(
        account,
        "hundred",
        anchor=first,
        current_period_start=first,
        current_period_end=first + 31 * DAY,
        cancel_at_period_end=True,
    )
    generate(90, now=first + 20 * DAY)

    # The free month began on the first, in the middle of the paid one, which is settled.
    assert metering.balance(account, "generations", now=NOON).used == 0
    assert generate(5).remaining == 0
    with pytest.raises(metering.AllowanceExhausted):
        generate()

    subscribe(account, "hundred", anchor=NOON + DAY)

    # What was used for nothing counts in the month that is bought during it.
    assert generate(95, now=NOON + DAY).remaining == 0
    assert_books_agree(account)


@pytest.mark.parametrize(
    "how",
    [{"ended_at": NOON, "cancel_at": NOON}, {"first_failed_at": NOON - DAY, "ended_at": NOON - 2 * DAY}],
)
def test_a_paid_month_that_was_broken_off_or_not_paid_counts_against_free(
    account: Account, generate: Any, how: dict[str, Any]
) -> None:
    first = datetime(2026, 10, 18, 12, tzinfo=UTC)
    bought = subscribe(account, "hundred", anchor=first if "cancel_at" not in how else NOON - 10 * DAY)
    generate(90, now=NOON - 5 * DAY)
    Subscription.objects.filter(pk=bought.pk).update(status="canceled", is_live=False, **how)
    grants.rights_changed(account)

    with pytest.raises(metering.AllowanceExhausted):
        generate(now=NOON + DAY)


def test_on_a_yearly_price_the_allowance_comes_back_twelve_times(account: Account, generate: Any) -> None:
    bought = datetime(2026, 1, 31, 9, tzinfo=UTC)
    subscribe(account, "hundred", anchor=bought)
    moment, windows = bought, []
    for _ in range(12):
        receipt = generate(100, now=moment)
        windows.append(receipt.resets_at.strftime("%d %b"))
        with pytest.raises(metering.AllowanceExhausted):
            generate(now=receipt.resets_at - timedelta(microseconds=1))
        moment = receipt.resets_at

    assert windows[:4] == ["28 Feb", "31 Mar", "30 Apr", "31 May"]
    assert moment == bought.replace(year=2027)


def test_each_side_of_midnight_is_one_day(account: Account, generate: Any) -> None:
    midnight = datetime(2026, 11, 21, tzinfo=UTC)

    generate(5, feature="queries", now=midnight - timedelta(microseconds=1))
    with pytest.raises(metering.AllowanceExhausted) as refused:
        generate(feature="queries", now=midnight - timedelta(microseconds=1))

    assert refused.value.comes_back_at == midnight
    assert generate(5, feature="queries", now=midnight).used == 5


def test_moving_to_another_time_zone_grants_no_extra_day(account: Account, generate: Any) -> None:
    generate(5, feature="queries", now=datetime(2026, 11, 20, 1, tzinfo=UTC))

    account.timezone = "Asia/Tokyo"
    account.save()

    # It is the 21st in Tokyo from 15:00 on, but the day that was opened in UTC goes on to its end.
    with pytest.raises(metering.AllowanceExhausted):
        generate(feature="queries", now=datetime(2026, 11, 20, 16, tzinfo=UTC))
    after = generate(5, feature="queries", now=datetime(2026, 11, 21, 0, tzinfo=UTC))
    assert after.resets_at == datetime(2026, 11, 21, 15, tzinfo=UTC)

    account.timezone = "UTC"
    account.save()
    with pytest.raises(metering.AllowanceExhausted):
        generate(feature="queries", now=datetime(2026, 11, 21, 15, tzinfo=UTC))


def test_a_refusal_names_the_day_of_the_accounts_own_calendar(account: Account, generate: Any) -> None:
    account.timezone = "Asia/Tokyo"
    account.save()
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)  # the evening of the 20th in Tokyo
    generate(5, feature="queries", now=now)

    with pytest.raises(metering.AllowanceExhausted, match=r"comes back on 21 November 2026; a bigger plan"):
        generate(feature="queries", now=now)


def test_nobody_on_the_biggest_plan_is_told_to_buy_a_bigger_one(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON - DAY)
    generate(20, feature="documents")
    generate(250)

    with pytest.raises(
        metering.AllowanceExhausted, match=r"left of 20\. The allowance comes back on 19 Decem"
    ) as no:
        generate(feature="documents")
    with pytest.raises(metering.AllowanceExhausted, match="a bigger plan has more at once"):
        generate()  # there is a plan without a limit

    assert not no.value.is_more_sold
    assert str(no.value).endswith("2026.")


def test_a_failed_payment_ends_access_by_the_clock_alone(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON - 40 * DAY, status="past_due", first_failed_at=NOON - DAY / 2)
    assert generate(20).limit == 250

    with pytest.raises(metering.AllowanceExhausted) as refused:
        generate(now=NOON + DAY)

    assert refused.value.limit == 5


def test_a_suspended_account_uses_nothing_and_is_told_why(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON)
    generate()
    Customer.objects.filter(account=account).update(suspended_at=NOON, suspended_reason="abuse")
    grants.rights_changed(account)

    with pytest.raises(metering.FeatureNotIncluded) as refused:
        generate()

    assert refused.value.reason == "suspended"
    assert "on hold" in str(refused.value)
    assert refused.value.upgrade_url == ""


def test_a_suspended_account_takes_no_slot_and_is_told_why(account: Account) -> None:
    subscribe(account, "pro", anchor=NOON)
    Customer.objects.filter(account=account).update(suspended_at=NOON, suspended_reason="abuse")
    grants.rights_changed(account)

    with pytest.raises(metering.FeatureNotIncluded) as refused:
        slots.take(account=account, feature="projects", key="run:1", now=NOON)

    assert "on hold" in str(refused.value)
    assert refused.value.upgrade_url == ""


def test_an_account_on_a_test_clock_is_counted_in_its_time(account: Account, generate: Any) -> None:
    subscribe(account, "hundred", anchor=NOON)
    generate(100)
    Customer.objects.filter(account=account).update(clock_now=NOON + 31 * DAY)

    receipt = generate(100)

    assert receipt.resets_at == datetime(2027, 1, 20, 12, tzinfo=UTC)
    assert UsageRecord.objects.last().recorded_at == NOON + 31 * DAY


def test_a_changed_price_list_counts_at_once(
    account: Account, generate: Any, settings: Any, tmp_path: Any
) -> None:
    generate(5)
    more = tmp_path / "more.toml"
    with open(settings.BILLING_CATALOG) as present:
        more.write_text(present.read().replace('quantity = 5, per = "month"', 'quantity = 6, per = "month"'))

    settings.BILLING_CATALOG = str(more)

    assert generate().remaining == 0


def test_guests_look_but_do_not_use(account: Account, generate: Any, bob: User) -> None:
    assert generate(user=bob).used == 1
    Member.objects.filter(user=bob).update(role="guest")

    with pytest.raises(metering.FeatureNotIncluded) as refused:
        generate(user=bob)

    assert refused.value.reason == "role"


def test_a_stranger_uses_nothing_of_the_account(account: Account, generate: Any, charlie: User) -> None:
    with pytest.raises(metering.FeatureNotIncluded):
        generate(user=charlie)

    assert not UsageRecord.objects.exists()


def test_metered_units_are_written_to_the_outbox_with_the_time_of_use(
    account: Account, generate: Any
) -> None:
    subscribe(account, "payg", anchor=NOON - DAY)

    receipt = generate(3, feature="tokens")
    generate(3, feature="tokens", key="press-0")

    event = MeterEvent.objects.get()
    assert (event.event_name, event.units, event.occurred_at) == ("tokens_used", 3, NOON)
    assert event.record_id == receipt.record_id
    assert event.identifier == f"{account.pk}-{receipt.record_id}"
    assert receipt.limit is None


def test_after_the_switch_to_an_unlimited_plan_nothing_is_metered(account: Account, generate: Any) -> None:
    subscribe(account, "payg", anchor=NOON - DAY)
    generate(3, feature="tokens")

    subscribe(account, "boundless", anchor=NOON - DAY)

    assert generate(4, feature="tokens").used == 7
    assert MeterEvent.objects.get().units == 3


def test_the_roll_up_keeps_one_total_for_each_day(account: Account, generate: Any) -> None:
    subscribe(account, "pro", anchor=NOON - DAY)
    generate(2)
    generate(3)
    generate(4, now=NOON + DAY)

    assert list(UsageDay.objects.order_by("day").values_list("day__day", "units")) == [(20, 5), (21, 4)]


def test_a_check_that_fails_lets_nothing_through(account: Account, generate: Any) -> None:
    generate()
    with connection.schema_editor() as editor:
        editor.alter_db_table(UsageDay, "usage_usageday", "usage_usageday_away")
    try:
        with pytest.raises(metering.CheckFailed):
            generate()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(UsageDay, "usage_usageday_away", "usage_usageday")

    assert UsageCounter.objects.get().used == 1
    assert generate().used == 2
    assert_books_agree(account)


def test_inside_a_transaction_the_act_is_undone_with_it(account: Account, generate: Any) -> None:
    generate()

    with pytest.raises(RuntimeError), transaction.atomic():
        generate(2)
        raise RuntimeError("the work failed")

    assert generate().used == 2
    assert_books_agree(account)


def test_nothing_is_written_before_the_first_use_and_reading_writes_nothing(account: Account) -> None:
    balance = metering.balance(account, "generations", now=NOON)

    assert (balance.used, balance.remaining, balance.percent) == (0, 5, 0)
    assert [found.feature for found in metering.balances(account, now=NOON)] == ["generations", "queries"]
    assert not UsageCounter.objects.exists()


def test_a_person_in_two_accounts_uses_each_ones_own(alice: User, account: Account, generate: Any) -> None:
    generate(5)

    assert generate(account=alice.personal_account, user=alice).used == 1


def test_many_accounts_do_not_mix(generate: Any, alice: User) -> None:
    others = [factories.organization(owner=alice) for _ in range(3)]
    for number, other in enumerate(others, 1):
        generate(number, account=other)

    assert [metering.balance(other, "generations", now=NOON).used for other in others] == [1, 2, 3]
