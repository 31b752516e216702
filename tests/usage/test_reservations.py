"""Units held before the work: counted as far as they were used, given back as far as not, and never stuck."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum

from accounts.models import Account, Member, User
from billing import credits, grants
from billing.models import CreditEntry, CreditGrant, Customer, Subscription
from tests import factories
from tests.usage.conftest import NOON, assert_books_agree, subscribe
from tests.usage.test_concurrency import at_once
from usage import budgets, metering
from usage.metering import Hold, Receipt, verifying
from usage.models import MeterEvent, Reservation, UsageCounter, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BOUGHT = NOON - 5 * DAY


class Desk:
    """Where one account holds, settles and releases units of one feature."""

    def __init__(self, account: Account, feature: str = "generations") -> None:
        self.account, self.feature = account, feature
        self._jobs = iter(range(1_000_000))

    def hold(self, units: int = 1, *, key: str | None = None, now: datetime = NOON, **more: Any) -> Hold:
        given = {"account": self.account, "feature": self.feature, "units": units, "now": now, **more}
        return metering.reserve(**given, idempotency_key=key or f"{self.feature}-job-{next(self._jobs)}")

    def settle(self, hold: Hold, units: Any, *, now: datetime = NOON, **more: Any) -> Receipt:
        return metering.settle(account=self.account, reservation_id=hold.id, units=units, now=now, **more)

    def release(self, hold: Hold, *, now: datetime = NOON) -> Hold:
        return metering.release(account=self.account, reservation_id=hold.id, now=now)

    def use(self, units: int = 1, *, now: datetime = NOON, **more: Any) -> Receipt:
        given = {"account": self.account, "feature": self.feature, "units": units, "now": now, **more}
        return metering.consume(**given, idempotency_key=f"{self.feature}-use-{next(self._jobs)}")

    def left(self, *, now: datetime = NOON) -> int | None:
        return metering.balance(self.account, self.feature, now=now).remaining

    def assert_sound(self) -> None:
        """The books agree, and the counters hold what the open reservations hold."""
        assert_books_agree(self.account)
        assert verifying.differences(self.account) == []


@pytest.fixture
def desk(account: Account) -> Desk:
    """Free: five generations a month."""
    return Desk(account)


@pytest.fixture
def sources(settings: Any) -> None:
    settings.BILLING_CATALOG = str(Path(__file__).with_name("sources.toml"))


def from_where(receipt: Receipt) -> dict[str, int]:
    return {source.kind: source.units for source in receipt.sources}


def test_what_is_held_is_nobody_elses(desk: Desk) -> None:
    hold = desk.hold(3)

    assert (hold.state, hold.units, hold.expires_at) == ("held", 3, NOON + 10 * MINUTE)
    assert desk.left() == 2
    with pytest.raises(metering.AllowanceExhausted) as refused:
        desk.use(3)
    assert (refused.value.used, refused.value.reserved, refused.value.remaining) == (0, 3, 2)
    with pytest.raises(metering.AllowanceExhausted):
        desk.hold(3)
    desk.use(2)
    desk.assert_sound()


def test_less_than_was_held_counts_less_and_the_rest_goes_back(desk: Desk) -> None:
    hold = desk.hold(4)

    receipt = desk.settle(hold, 1)

    assert (receipt.units, receipt.used, receipt.remaining, receipt.cost) == (1, 1, 4, 0)
    assert from_where(receipt) == {"allowance": 1}
    record = UsageRecord.objects.get()
    assert (record.pk, record.units) == (receipt.record_id, 1)
    found = metering.find(account=desk.account, reservation_id=hold.id, now=NOON)
    assert (found.state, found.settled_units, found.record_id) == ("settled", 1, record.pk)
    assert desk.use(4).remaining == 0
    desk.assert_sound()


def test_all_that_was_held_can_always_be_settled(desk: Desk) -> None:
    hold = desk.hold(4)
    desk.use(1)

    assert desk.settle(hold, 4).remaining == 0
    desk.assert_sound()


def test_more_than_was_held_is_drawn_when_there_is_more(desk: Desk) -> None:
    hold = desk.hold(2)

    receipt = desk.settle(hold, 5)

    assert (receipt.units, receipt.used, receipt.remaining) == (5, 5, 0)
    assert from_where(receipt) == {"allowance": 5}
    again = desk.settle(hold, 5)
    assert (again.record_id, again.units, again.sources, again.replayed) == (
        receipt.record_id,
        5,
        receipt.sources,
        True,
    )
    desk.assert_sound()


def test_more_than_there_is_counts_nothing_and_leaves_the_hold(desk: Desk) -> None:
    hold = desk.hold(2)
    desk.use(2)

    with pytest.raises(metering.AllowanceExhausted):
        desk.settle(hold, 4)

    assert desk.left() == 1
    assert not UsageRecord.objects.filter(idempotency_key__startswith="reservation").exists()
    assert desk.settle(hold, 2).used == 4
    desk.assert_sound()


def test_a_settlement_may_insist_on_what_was_held(desk: Desk) -> None:
    hold = desk.hold(2)

    with pytest.raises(metering.MoreThanHeld):
        desk.settle(hold, 3, beyond="refuse")

    assert metering.find(account=desk.account, reservation_id=hold.id, now=NOON).state == "held"
    assert desk.settle(hold, 2, beyond="refuse").used == 2
    desk.assert_sound()


def test_work_that_failed_costs_nothing(desk: Desk) -> None:
    hold = desk.hold(5)

    assert desk.release(hold).state == "released"
    assert desk.release(hold).state == "released"

    assert desk.left() == 5
    assert not UsageRecord.objects.exists()
    desk.assert_sound()


def test_what_is_over_stays_over(desk: Desk) -> None:
    released, settled = desk.hold(1), desk.hold(1)
    desk.release(released)
    desk.settle(settled, 1)

    with pytest.raises(metering.ReservationOver):
        desk.settle(released, 1)
    with pytest.raises(metering.ReservationOver):
        desk.release(settled)

    assert UsageRecord.objects.count() == 1
    desk.assert_sound()


def test_a_settlement_sent_again_counts_once(desk: Desk) -> None:
    hold = desk.hold(3)
    first = desk.settle(hold, 2)
    desk.use(1)

    again = desk.settle(hold, 2, now=NOON + 40 * DAY)

    assert (again.record_id, again.used, again.replayed) == (first.record_id, 2, True)
    with pytest.raises(metering.IdempotencyConflict):
        desk.settle(hold, 3)
    desk.assert_sound()


def test_the_same_key_holds_once(desk: Desk) -> None:
    first = desk.hold(3, key="chat-7")

    again = desk.hold(3, key="chat-7")

    assert (again.id, again.replayed, first.replayed) == (first.id, True, False)
    assert desk.left() == 2
    for other in ({"units": 2}, {"feature": "queries", "units": 3}):
        with pytest.raises(metering.IdempotencyConflict):
            desk.hold(**{"key": "chat-7", **other})
    desk.settle(first, 3)
    assert desk.hold(3, key="chat-7").state == "settled"


def test_a_key_may_name_an_act_and_a_reservation(desk: Desk) -> None:
    metering.consume(account=desk.account, feature="generations", idempotency_key="job-7", now=NOON)

    hold = desk.hold(2, key="job-7")

    assert desk.settle(hold, 2).used == 3


def test_after_a_crash_the_units_come_back_by_the_clock_alone(desk: Desk) -> None:
    hold = desk.hold(5, holds_for=MINUTE)
    with pytest.raises(metering.AllowanceExhausted):
        desk.use(1, now=NOON + MINUTE - timedelta(microseconds=1))

    assert desk.left(now=NOON + MINUTE) == 5
    found = metering.find(account=desk.account, reservation_id=hold.id, now=NOON + MINUTE)
    assert found.state == "expired"

    assert desk.use(5, now=NOON + MINUTE).remaining == 0
    assert Reservation.objects.get().state == "expired"
    desk.assert_sound()


def test_an_overdue_hold_makes_room_for_the_next_hold(desk: Desk) -> None:
    desk.hold(5, holds_for=MINUTE)

    assert desk.hold(5, now=NOON + MINUTE).state == "held"
    desk.assert_sound()


def test_settled_too_late_it_counts_once_if_there_is_room(desk: Desk) -> None:
    hold = desk.hold(2, holds_for=MINUTE)

    receipt = desk.settle(hold, 2, now=NOON + 2 * MINUTE)
    again = desk.settle(hold, 2, now=NOON + 3 * MINUTE)

    assert (receipt.used, again.used, again.record_id) == (2, 2, receipt.record_id)
    assert UsageRecord.objects.count() == 1
    desk.assert_sound()


def test_settled_too_late_it_is_refused_if_somebody_else_has_the_units(desk: Desk) -> None:
    hold = desk.hold(5, holds_for=MINUTE)
    desk.use(4, now=NOON + MINUTE)

    with pytest.raises(metering.AllowanceExhausted):
        desk.settle(hold, 5, now=NOON + 2 * MINUTE)

    assert desk.left(now=NOON + 2 * MINUTE) == 1
    assert desk.settle(hold, 1, now=NOON + 2 * MINUTE).remaining == 0
    desk.assert_sound()


def test_released_too_late_is_harmless(desk: Desk) -> None:
    hold = desk.hold(5, holds_for=MINUTE)
    desk.use(5, now=NOON + MINUTE)

    assert desk.release(hold, now=NOON + 2 * MINUTE).state == "expired"
    assert desk.left(now=NOON + 2 * MINUTE) == 0
    desk.assert_sound()


def test_across_the_end_of_a_window_it_counts_where_it_was_held(desk: Desk) -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    hold = desk.hold(5, now=midnight - MINUTE)

    assert desk.use(5, now=midnight + MINUTE).remaining == 0
    receipt = desk.settle(hold, 5, now=midnight + MINUTE)

    assert (receipt.used, receipt.resets_at) == (5, midnight)
    assert desk.left(now=midnight + MINUTE) == 0
    desk.assert_sound()


def test_a_hold_of_the_last_window_takes_nothing_from_the_next(desk: Desk) -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    desk.hold(5, now=midnight - MINUTE)

    assert desk.left(now=midnight) == 5
    assert desk.use(5, now=midnight).remaining == 0


def test_an_upgrade_in_the_middle_of_the_work_grants_nothing_twice(desk: Desk) -> None:
    """The purchase moves the window under the hold; what is held moves with it."""
    subscribe(desk.account, "hundred", anchor=NOON - 10 * DAY)
    hold = desk.hold(60)

    subscribe(desk.account, "hundred", anchor=NOON)

    assert desk.use(40).remaining == 0
    with pytest.raises(metering.AllowanceExhausted):
        desk.use(1)
    assert desk.settle(hold, 60).used == 100
    desk.assert_sound()


def test_a_downgrade_in_the_middle_of_the_work_keeps_the_promise(desk: Desk) -> None:
    subscribe(desk.account, "pro", anchor=BOUGHT)
    hold = desk.hold(200)

    subscribe(desk.account, "hundred", anchor=BOUGHT)

    assert desk.settle(hold, 200).remaining == 0
    with pytest.raises(metering.AllowanceExhausted):
        desk.use(1)
    desk.assert_sound()


def test_a_plan_that_ended_in_the_middle_of_the_work_keeps_the_promise(desk: Desk) -> None:
    subscribe(desk.account, "payg", anchor=BOUGHT)
    tokens = Desk(desk.account, "tokens")
    hold = tokens.hold(3)
    assert hold.billed == 3

    Subscription.objects.update(is_live=False, status="canceled")
    grants.rights_changed(desk.account)

    receipt = tokens.settle(hold, 2)
    assert (from_where(receipt), receipt.cost) == ({"paid": 2}, 100)
    assert MeterEvent.objects.get().units == 2
    with pytest.raises(metering.FeatureNotIncluded):
        tokens.use(1)
    tokens.assert_sound()


def test_on_a_test_clock_holds_live_in_its_time(desk: Desk) -> None:
    from billing.lifecycle import customers

    customers.row(desk.account)
    clock = Customer.objects.filter(account=desk.account)
    clock.update(clock_now=NOON)

    hold = desk.hold(5, now=NOON + 300 * DAY)

    assert hold.expires_at == NOON + 10 * MINUTE
    with pytest.raises(metering.AllowanceExhausted):
        desk.use(1, now=NOON + 301 * DAY)
    clock.update(clock_now=NOON + 40 * DAY)
    assert desk.use(5, now=NOON).remaining == 0
    desk.assert_sound()


def test_unlimited_can_be_held_too(desk: Desk) -> None:
    subscribe(desk.account, "boundless", anchor=BOUGHT)

    receipt = desk.settle(desk.hold(10**9), 10**9)

    assert (receipt.used, receipt.limit, receipt.remaining) == (10**9, None, None)


def test_inside_a_transaction_that_fails_nothing_is_held(desk: Desk) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        desk.hold(5)
        raise RuntimeError("the job could not be queued")

    assert desk.left() == 5
    assert not Reservation.objects.exists()


def test_a_counter_that_keeps_what_nobody_holds_is_found_and_put_right(desk: Desk) -> None:
    desk.hold(2)
    UsageCounter.objects.update(reserved=5)

    (wrong,) = verifying.differences(desk.account)
    assert (wrong.what, wrong.says, wrong.ledger) == ("reserved", 5, 2)
    verifying.repair(desk.account, reason="a test", now=NOON)

    assert desk.left() == 3
    desk.assert_sound()


# --- Where held units come from


def test_credits_are_held_kept_and_given_back(account: Account, sources: None) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    desk = Desk(account, "prints")
    desk.use(110)  # ten of the twenty that are forgiven
    grant = _give(account, "prints", 50)
    hold = desk.hold(40)
    assert (hold.credited, hold.billed) == (40, 0)
    # The ten forgiven ones are drawn before those that were bought.
    assert CreditGrant.objects.get(pk=grant.pk).remaining == 20
    with pytest.raises(metering.AllowanceExhausted):
        desk.use(21)

    receipt = desk.settle(hold, 25)

    assert from_where(receipt) == {"forgiven": 10, "credits": 15}
    assert CreditGrant.objects.get(pk=grant.pk).remaining == 35
    assert desk.use(35).cost == 0
    _assert_grants_agree()
    desk.assert_sound()


def test_credits_of_a_hold_that_was_given_up_or_forgotten_come_back(account: Account, sources: None) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    desk = Desk(account, "prints")
    desk.use(120)
    grant = _give(account, "prints", 10)

    desk.release(desk.hold(10))
    assert CreditGrant.objects.get(pk=grant.pk).remaining == 10
    desk.hold(10, holds_for=MINUTE)
    assert CreditGrant.objects.get(pk=grant.pk).remaining == 0

    assert from_where(desk.use(10, now=NOON + MINUTE)) == {"credits": 10}
    _assert_grants_agree()
    desk.assert_sound()


def test_units_that_will_be_paid_for_are_held_within_the_budget(account: Account, sources: None) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=30, by=None, now=NOON)
    desk = Desk(account, "pages")

    hold = desk.hold(105)  # a hundred are included, five cost 3 each

    assert (hold.credited, hold.billed) == (0, 5)
    with pytest.raises(metering.BudgetReached):
        desk.use(6)
    paid = desk.use(5)
    assert (from_where(paid), paid.cost) == ({"paid": 5}, 15)
    receipt = desk.settle(hold, 103)
    assert (from_where(receipt), receipt.cost) == ({"allowance": 100, "paid": 3}, 9)
    assert sorted(MeterEvent.objects.values_list("units", flat=True)) == [3, 5]
    assert desk.use(2).cost == 6
    with pytest.raises(metering.BudgetReached):
        desk.use(1)
    desk.assert_sound()


def test_one_budget_for_two_features_counts_what_either_holds(account: Account, sources: None) -> None:
    subscribe(account, "both", anchor=BOUGHT)
    budgets.set_budget(account=account, amount=50, by=None, now=NOON)
    pages, calls = Desk(account, "pages"), Desk(account, "calls")

    hold = pages.hold(20)  # ten to be paid for: 30

    with pytest.raises(metering.BudgetReached):
        calls.use(15)  # five to be paid for: 25
    assert calls.use(14).cost == 20
    assert pages.settle(hold, 20).cost == 30
    pages.assert_sound()


def test_an_overdue_hold_of_included_units_is_used_before_anything_is_paid(
    account: Account, sources: None
) -> None:
    subscribe(account, "pages", anchor=BOUGHT)
    desk = Desk(account, "pages")
    desk.hold(100, holds_for=MINUTE)

    assert desk.use(1).cost == 3

    assert desk.use(49, now=NOON + MINUTE).cost == 0
    desk.assert_sound()
    desk.hold(51, now=NOON + MINUTE, holds_for=MINUTE)
    lines = [metering.Line(feature="pages", units=17, idempotency_key=f"line-{n}") for n in range(3)]
    counted = metering.consume_batch(account=account, lines=lines, now=NOON + 2 * MINUTE)
    assert [receipt.cost for receipt in counted if isinstance(receipt, Receipt)] == [0, 0, 0]
    desk.assert_sound()


def test_what_a_member_holds_counts_against_the_members_budget(
    account: Account, bob: User, sources: None
) -> None:
    subscribe(account, "press", anchor=BOUGHT)
    budgets.set_member_budget(account=account, user=bob, feature="prints", units=10, by=None, now=NOON)
    desk = Desk(account, "prints")

    hold = desk.hold(8, user=bob)

    with pytest.raises(metering.MemberBudgetReached):
        desk.use(3, user=bob)
    with pytest.raises(metering.MemberBudgetReached):
        desk.hold(3, user=bob)
    desk.use(2, user=bob)
    desk.settle(hold, 5)
    assert desk.use(3, user=bob).units == 3
    with pytest.raises(metering.MemberBudgetReached):
        desk.use(1, user=bob)
    desk.assert_sound()


def _give(account: Account, feature: str, units: int) -> CreditGrant:
    return credits.give(
        account=account,
        feature=feature,
        units=units,
        source="gift",
        source_key=f"test:{feature}",
        reason="a test",
        now=BOUGHT,
    )


def _assert_grants_agree() -> None:
    for grant in CreditGrant.objects.all():
        assert grant.remaining == sum(grant.entries.values_list("units", flat=True))
    # What was kept is burned by an act of the ledger; nothing is held for ever.
    for entry in CreditEntry.objects.filter(kind="burn"):
        assert UsageRecord.objects.filter(pk=entry.usage_record_id).exists()


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_in_any_order_nothing_is_counted_twice_or_lost(
    account: Account, bob: User, sources: None, seed: int
) -> None:
    """A random life: holds, acts, settlements in time and late, releases, crashes, credits, budgets, other plans."""
    dice = random.Random(seed)
    desks = {name: Desk(account, name) for name in ("pages", "calls", "prints")}
    subscribe(account, "both", anchor=BOUGHT)
    _give(account, "prints", 40)
    now, holds = NOON, []
    for step in range(45):
        now += dice.choice([timedelta(0), MINUTE, 7 * MINUTE, DAY, 9 * DAY])
        desk = desks[dice.choice(list(desks))]
        # A refusal is one of the things that happen; what it leaves behind is looked at below.
        with suppress(metering.Refused):
            match dice.randrange(9):
                case 0 | 1 | 2:
                    holds_for = dice.choice([MINUTE, 5 * MINUTE, DAY])
                    user = dice.choice([None, bob])
                    held = desk.hold(dice.choice([1, 5, 30]), now=now, holds_for=holds_for, user=user)
                    holds.append((desk, held))
                case 3 | 4 | 5 if holds:
                    desk, held = holds.pop(dice.randrange(len(holds)))
                    desk.settle(held, dice.choice([1, held.units, held.units + 4]), now=now)
                case 6 if holds:
                    desk, held = holds.pop(dice.randrange(len(holds)))
                    desk.release(held, now=now)
                case 7:
                    desk.use(dice.choice([1, 3, 20]), now=now)
                case 8:
                    plan = dice.choice(["both", "press", "pages"])
                    anchor = now - timedelta(days=dice.randrange(40))
                    subscribe(account, plan, anchor=anchor, stripe_subscription_id=f"sub_{seed}_{step}")
                    if dice.random() < 0.5:
                        budgets.set_budget(account=account, amount=dice.choice([0, 50]), by=None, now=now)
        if step % 9 == 8:
            desk.assert_sound()
            _assert_grants_agree()
    counted = dict(
        UsageRecord.objects.filter(idempotency_key__startswith="reservation")
        .values_list("feature")
        .annotate(Sum("units"))
    )
    settled = dict(
        Reservation.objects.filter(state="settled").values_list("feature").annotate(Sum("settled_units"))
    )
    assert counted == settled
    assert sum(settled.values()) > 0


# --- Bad input


@pytest.mark.parametrize("units", [0, -1, 10**9 + 1, 1.5, True, "1", None])
def test_units_that_are_no_count_hold_and_settle_nothing(desk: Desk, units: Any) -> None:
    with pytest.raises(metering.InvalidUnits):
        desk.hold(units)
    hold = desk.hold(2)

    with pytest.raises(metering.InvalidUnits):
        desk.settle(hold, units)

    assert desk.settle(hold, 2).used == 2


@pytest.mark.parametrize("holds_for", [timedelta(0), -MINUTE, DAY + MINUTE])
def test_a_time_that_makes_no_sense_holds_nothing(desk: Desk, holds_for: timedelta) -> None:
    with pytest.raises(metering.InvalidTime):
        desk.hold(1, holds_for=holds_for)

    assert not Reservation.objects.exists()


@pytest.mark.parametrize("key", ["x" * 201, "a\0b", 7])
def test_a_key_that_names_nothing_is_refused(desk: Desk, key: Any) -> None:
    with pytest.raises(metering.InvalidKey):
        desk.hold(1, key=key)


def test_what_is_not_granted_cannot_be_held(desk: Desk) -> None:
    with pytest.raises(metering.FeatureNotIncluded):
        desk.hold(1, feature="documents")
    for feature in ("projects", "api_access", "no such thing"):
        with pytest.raises(metering.UnknownFeature):
            desk.hold(1, feature=feature)


def test_guests_hold_nothing(desk: Desk) -> None:
    guest = factories.person()
    factories.MemberFactory(account=desk.account, user=guest, role=Member.Role.GUEST)

    with pytest.raises(metering.FeatureNotIncluded) as refused:
        desk.hold(1, user=guest)

    assert refused.value.reason == "role"


def test_another_accounts_reservation_does_not_exist(desk: Desk, charlie: User) -> None:
    hold = desk.hold(5)
    stranger = Desk(charlie.personal_account)

    for act in (
        lambda: stranger.settle(hold, 1),
        lambda: stranger.release(hold),
        lambda: metering.find(account=stranger.account, reservation_id=hold.id, now=NOON),
    ):
        with pytest.raises(metering.UnknownReservation):
            act()

    assert desk.left() == 0


def test_what_cannot_be_checked_is_not_held(desk: Desk, settings: Any) -> None:
    settings.BILLING_CATALOG = "/nowhere/catalog.toml"

    with pytest.raises(metering.CheckFailed):
        desk.hold(1)


# --- Around a piece of work


def work(desk: Desk, units: int, **more: Any) -> Any:
    given = {"account": desk.account, "feature": desk.feature, "units": units, "now": NOON, **more}
    return metering.hold(**{"idempotency_key": "chat-7", **given})


def test_a_block_of_work_counts_what_it_says_it_took(desk: Desk) -> None:
    with work(desk, 4) as held:
        assert desk.left() == 1
        receipt = held.settle(3)

    assert receipt.used == 3
    assert desk.left() == 2
    desk.assert_sound()


def test_a_block_that_says_nothing_counts_what_was_held(desk: Desk) -> None:
    with work(desk, 4) as held:
        pass

    assert held.receipt is not None
    assert held.receipt.used == 4


def test_a_block_that_fails_counts_nothing(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError), work(desk, 4):
        _ = 1 / 0

    assert desk.left() == 5
    assert Reservation.objects.get().state == "released"


def test_a_block_may_call_the_work_off(desk: Desk) -> None:
    with work(desk, 4) as held:
        held.release()

    assert desk.left() == 5


def test_work_of_one_key_is_done_once(desk: Desk) -> None:
    done = []
    with work(desk, 2) as held:
        done.append(held.settle(2))

    with pytest.raises(metering.WorkRepeated), work(desk, 2):
        done.append(held.receipt)

    assert len(done) == 1
    assert desk.left() == 3


# --- What it will take


def test_an_estimate_comes_from_the_accounts_own_acts(desk: Desk, charlie: User) -> None:
    subscribe(desk.account, "boundless", anchor=BOUGHT)
    for units in range(1, 101):
        desk.use(units)
    desk.use(10**6, feature="tokens")
    Desk(charlie.personal_account).use(5)

    found = metering.estimate(account=desk.account, feature="generations", now=NOON)

    assert (found.low, found.typical, found.high, found.sample) == (10, 50, 90, 100)


def test_without_a_history_an_estimate_claims_nothing(desk: Desk) -> None:
    found = metering.estimate(account=desk.account, feature="generations", now=NOON)

    assert (found.low, found.typical, found.high, found.sample) == (None, None, None, 0)
    with pytest.raises(metering.UnknownFeature):
        metering.estimate(account=desk.account, feature="projects", now=NOON)


# --- Everybody at once, on real PostgreSQL


@pytest.mark.postgres
def test_of_sixteen_holds_at_once_as_many_are_given_as_fit(desk: Desk) -> None:
    subscribe(desk.account, "hundred", anchor=BOUGHT)

    found = Counter(at_once(lambda number: _outcome(lambda: desk.hold(30, key=f"at-once-{number}"))))

    assert found == {"granted": 3, "refused": 13}
    assert UsageCounter.objects.get().reserved == 90
    desk.assert_sound()


@pytest.mark.postgres
def test_a_hold_settled_from_everywhere_at_once_counts_once(desk: Desk) -> None:
    subscribe(desk.account, "hundred", anchor=BOUGHT)
    for turn in range(3):
        hold = desk.hold(10)

        receipts = at_once(lambda _, hold=hold: desk.settle(hold, 7))

        assert len({receipt.record_id for receipt in receipts}) == 1
        assert sum(not receipt.replayed for receipt in receipts) == 1
        assert UsageCounter.objects.get().used == 7 * (turn + 1)
    desk.assert_sound()


@pytest.mark.postgres
def test_settled_and_released_at_once_only_one_of_them_happens(desk: Desk) -> None:
    subscribe(desk.account, "hundred", anchor=BOUGHT)
    for _ in range(4):
        hold = desk.hold(10)

        def act(number: int, hold: Hold = hold) -> str:
            try:
                if number % 2:
                    desk.settle(hold, 10)
                    return "settled"
                desk.release(hold)
                return "released"
            except metering.ReservationOver:
                return "over"

        found = Counter(at_once(act))

        assert found == {"over": 8, Reservation.objects.get(pk=hold.id).state: 8}
    desk.assert_sound()


@pytest.mark.postgres
def test_a_late_settlement_from_everywhere_counts_once(desk: Desk) -> None:
    subscribe(desk.account, "hundred", anchor=BOUGHT)
    hold = desk.hold(10, holds_for=MINUTE)

    receipts = at_once(lambda _: desk.settle(hold, 10, now=NOON + MINUTE))

    assert {receipt.used for receipt in receipts} == {10}
    assert UsageRecord.objects.count() == 1
    desk.assert_sound()


@pytest.mark.postgres
def test_holds_acts_settlements_and_forgotten_work_at_once_never_exceed_the_plan(desk: Desk) -> None:
    subscribe(desk.account, "hundred", anchor=BOUGHT)

    def act(number: int) -> None:
        for turn in range(8):
            now = NOON + turn * 2 * MINUTE
            try:
                hold = desk.hold(3, key=f"{number}-{turn}", now=now, holds_for=MINUTE)
            except metering.AllowanceExhausted:
                continue
            match (number + turn) % 4:
                case 0:
                    # Somebody whose clock is ahead may have seen it as overdue.
                    _outcome(lambda hold=hold, now=now: desk.settle(hold, 2, now=now))
                case 1:
                    desk.release(hold, now=now)
                case 2:
                    _outcome(lambda hold=hold, now=now: desk.settle(hold, 3, now=now + 2 * MINUTE))

    at_once(act)

    counter = UsageCounter.objects.get()
    assert counter.used + counter.reserved <= 100
    desk.assert_sound()


def _outcome(act: Callable[[], Any]) -> str:
    try:
        act()
    except metering.AllowanceExhausted:
        return "refused"
    return "granted"
