"""The access table, row by row: every combination of what Stripe, staff and the clock can say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.access import Decision, GrantFacts, Level, SubscriptionFacts, Terms, decide

NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

STATUSES = [
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "canceled",
    "paused",
    "a_word_stripe_adds_next_year",
]
TRIAL_ENDS = {"none": None, "ahead": NOW + 3 * DAY, "over": NOW - 3 * DAY}
PERIOD_ENDS = {"ahead": NOW + 9 * DAY, "over": NOW - 4 * DAY}
PAUSES = ["", "void", "keep_as_draft", "mark_uncollectible"]
# (grace days, first failure): still within grace, past it, never paid before.
GRACES = {
    "within": {"first_failed_at": NOW - 12 * HOUR, "first_paid_at": NOW - 40 * DAY},
    "past": {"first_failed_at": NOW - 36 * HOUR, "first_paid_at": NOW - 40 * DAY},
    "never paid": {"first_failed_at": NOW - 12 * HOUR, "first_paid_at": None},
}
OVERRIDES = ["none", "grandfathered", "comped until tomorrow", "suspended"]

FULL, GRACE, FREE, BLOCKED = Level.FULL, Level.GRACE, Level.FREE, Level.BLOCKED


def expected(status, trial, cancel, pause, period, grace, override):
    """The table of the house, written as a person would read it: (level, may check out)."""
    closed_to_checkout = status not in ("incomplete_expired", "canceled")
    ended = status == "active" and cancel and period == "over"
    may_check_out = ended or not closed_to_checkout

    if override == "suspended":
        return BLOCKED, False
    if override in ("grandfathered", "comped until tomorrow"):
        return FULL, may_check_out
    match status:
        case "trialing" if trial == "over":
            # Its end is three days past: no day of tolerance is left.
            return FREE, False
        case "trialing":
            return FULL, False
        case "active" if period == "ahead":
            return FULL, False
        case "active":
            # The period ended four days ago: every tolerance is used up.
            return FREE, cancel
        case "past_due" if grace == "within" or (grace == "never paid" and trial == "none"):
            return GRACE, False
        case "past_due":
            return FREE, False
    return FREE, may_check_out


EVERY_ROW = list(product(STATUSES, TRIAL_ENDS, [False, True], PAUSES, PERIOD_ENDS, GRACES, OVERRIDES))


def answer(status, trial, cancel, pause, period, grace, override, now=NOW) -> Decision:
    facts = SubscriptionFacts(
        status=status,
        terms=Terms(grace_days=1),
        period_start=PERIOD_ENDS[period] - 30 * DAY,
        period_end=PERIOD_ENDS[period],
        trial_end=TRIAL_ENDS[trial],
        cancel_at_period_end=cancel,
        pause_collection=pause,
        **GRACES[grace],
    )
    grants = {
        "grandfathered": [GrantFacts(starts_at=NOW - 900 * DAY)],
        "comped until tomorrow": [GrantFacts(starts_at=NOW - DAY, until=NOW + DAY)],
    }.get(override, [])
    return decide(subscriptions=[facts], grants=grants, suspended=override == "suspended", now=now)


def test_all_5184_combinations_are_decided_as_the_table_says():
    assert len(EVERY_ROW) == 5184
    wrong = [
        (row, got.level, got.may_check_out)
        for row in EVERY_ROW
        if ((got := answer(*row)).level, got.may_check_out) != expected(*row)
    ]

    assert wrong == []


def test_nobody_gains_access_by_waiting():
    for row in EVERY_ROW:
        levels = [answer(*row, now=NOW + hours * HOUR).level for hours in (0, 1, 13, 30, 80, 24 * 40)]

        assert levels == sorted(levels, reverse=True), row


def test_the_answer_holds_until_the_moment_it_names():
    """A counter trusts an answer until `valid_until`: not one may turn before it."""
    for row in EVERY_ROW:
        first = answer(*row)
        for at in (
            [first.valid_until - timedelta(microseconds=1)] if first.valid_until else [NOW + 3650 * DAY]
        ):
            later = answer(*row, now=at)

            assert (later.level, later.reason) == (first.level, first.reason), row


@given(st.sampled_from(EVERY_ROW))
def test_a_failed_payment_never_raises_and_a_paid_one_never_lowers(row):
    _status, trial, cancel, pause, period, grace, override = row
    paid = answer("active", trial, cancel, pause, period, grace, override)
    failed = answer("past_due", trial, cancel, pause, "ahead", grace, override)

    assert failed.level <= answer("active", trial, cancel, pause, "ahead", grace, override).level
    assert paid.level >= answer("unpaid", trial, cancel, pause, period, grace, override).level


ACTIVE = SubscriptionFacts(
    status="active",
    terms=Terms(grace_days=1),
    period_start=NOW - 30 * DAY,
    period_end=NOW,
    first_paid_at=NOW - 90 * DAY,
)


def test_a_renewal_whose_letter_is_late_costs_no_customer_their_plan():
    just_before_a_day = NOW + DAY - timedelta(seconds=1)
    heard_since = replace(ACTIVE, synced_at=NOW)

    assert decide(subscriptions=[heard_since], now=just_before_a_day).level == FULL
    assert decide(subscriptions=[heard_since], now=NOW + DAY).level == FREE
    assert decide(subscriptions=[heard_since], now=NOW + DAY).needs_staff


def test_while_stripe_cannot_be_asked_the_plan_stays_three_days():
    unheard = replace(ACTIVE, synced_at=NOW - DAY)

    assert decide(subscriptions=[unheard], now=NOW + 3 * DAY - HOUR).level == FULL
    assert decide(subscriptions=[unheard], now=NOW + 3 * DAY).level == FREE


def test_a_canceled_plan_ends_on_the_second():
    canceling = replace(ACTIVE, cancel_at_period_end=True, synced_at=NOW)

    assert decide(subscriptions=[canceling], now=NOW - timedelta(microseconds=1)).level == FULL
    assert decide(subscriptions=[canceling], now=NOW).level == FREE
    assert decide(subscriptions=[replace(ACTIVE, cancel_at=NOW - DAY)], now=NOW - DAY).level == FREE


def test_payment_grace_runs_from_the_first_failure_and_ends_by_the_clock_alone():
    failed = replace(ACTIVE, status="past_due", first_failed_at=NOW, period_end=NOW + 30 * DAY)

    in_grace = decide(subscriptions=[failed], now=NOW + DAY - timedelta(seconds=1))

    assert (in_grace.level, in_grace.grace_until) == (GRACE, NOW + DAY)
    assert decide(subscriptions=[failed], now=NOW + DAY).level == FREE


def test_a_trial_whose_first_charge_fails_has_no_grace():
    failed = replace(
        ACTIVE, status="past_due", first_failed_at=NOW, first_paid_at=None, trial_end=NOW - timedelta(hours=1)
    )

    assert decide(subscriptions=[failed], now=NOW).level == FREE


def test_who_pays_by_the_unit_has_grace_for_the_first_bill_too():
    failed = replace(ACTIVE, status="past_due", first_failed_at=NOW, first_paid_at=None, trial_end=None)

    assert decide(subscriptions=[failed], now=NOW).level == GRACE


def test_an_invoiced_customer_has_grace_from_the_due_date():
    overdue = replace(
        ACTIVE,
        status="past_due",
        collection_method="send_invoice",
        invoice_due_at=NOW,
        first_failed_at=None,
        terms=Terms(grace_days=7),
    )

    assert decide(subscriptions=[overdue], now=NOW + 6 * DAY).level == GRACE
    assert decide(subscriptions=[overdue], now=NOW + 7 * DAY).level == FREE


def test_a_pause_of_the_customers_own_costs_access_from_its_first_day_on_and_not_before():
    pausing = replace(
        ACTIVE, pause_collection="void", paused_from=NOW, period_end=NOW + 30 * DAY, period_start=NOW
    )

    before = decide(subscriptions=[pausing], now=NOW - HOUR)

    assert (before.level, before.valid_until) == (FULL, NOW)
    for at in (NOW, NOW + 29 * DAY, NOW + 31 * DAY, NOW + 90 * DAY):
        assert decide(subscriptions=[pausing], now=at).level == FREE
    assert decide(subscriptions=[replace(pausing, paused_from=None)], now=NOW).level == FULL


def test_a_status_stripe_has_just_invented_keeps_access_for_a_day_and_calls_staff():
    novel = replace(
        ACTIVE, status="hibernating", last_known_status="active", status_since=NOW, period_end=NOW + DAY * 9
    )

    today = decide(subscriptions=[novel], now=NOW + HOUR)

    assert (today.level, today.needs_staff, today.may_check_out) == (FULL, True, False)
    assert decide(subscriptions=[novel], now=NOW + DAY).level == FREE


def test_two_live_subscriptions_give_the_better_one_and_call_staff():
    small = replace(ACTIVE, period_end=NOW + DAY, rank=1)
    big = replace(ACTIVE, period_end=NOW + DAY, rank=2)

    both = decide(subscriptions=[small, big], now=NOW)

    assert (both.level, both.subscription, both.needs_staff) == (FULL, 1, True)


def test_a_grant_does_not_lower_a_better_plan_that_was_paid_for():
    paid = replace(ACTIVE, period_end=NOW + DAY, rank=3)
    small_grant = GrantFacts(starts_at=NOW - DAY, rank=1)

    assert decide(subscriptions=[paid], grants=[small_grant], now=NOW).grant is None
    assert decide(subscriptions=[paid], grants=[replace(small_grant, rank=3)], now=NOW).grant == 0


@pytest.mark.parametrize(
    ("dispute", "downgrade", "level"),
    [("open", False, FULL), ("open", True, FREE), ("lost", False, BLOCKED), ("", True, FULL)],
)
def test_a_dispute_acts_by_policy_while_open_and_blocks_when_lost(dispute, downgrade, level):
    paid = replace(ACTIVE, period_end=NOW + DAY)

    assert (
        decide(subscriptions=[paid], dispute=dispute, free_while_disputed=downgrade, now=NOW).level == level
    )


def test_an_account_on_hold_still_sees_what_it_pays_for():
    paid = replace(ACTIVE, period_end=NOW + DAY)

    held = decide(subscriptions=[paid], suspended=True, now=NOW)

    assert (held.level, held.subscription, held.may_check_out) == (BLOCKED, 0, False)
    assert decide(subscriptions=[paid], dispute="lost", now=NOW).subscription == 0


def test_an_account_that_never_bought_has_the_default_plan_and_may_buy():
    assert decide(subscriptions=[], now=NOW) == Decision(FREE, "no_subscription", may_check_out=True)
