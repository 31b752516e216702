"""Warnings on the way to a limit: each once, the highest of several, armed anew by a larger allowance, in time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Notification, User
from accounts.notifications import outbox
from billing.models import Customer
from tests.usage.conftest import NOON, opened, subscribe
from usage import budgets, metering
from usage.alerts import choosing, crossings, returning
from usage.models import AlertWish, Crossing, LedgerMark, UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
BOUGHT = NOON - 5 * DAY
Use = Callable[..., metering.Receipt]


@pytest.fixture
def use(generate: Any, account: Account) -> Use:
    """Use units on a plan of a hundred generations a month, by an account whose time is NOON."""
    subscribe(account, "hundred", anchor=BOUGHT)
    at(account, NOON)
    receipt: Use = generate
    return receipt


def at(account: Account, now: datetime) -> None:
    """The account lives on a test clock, so that everything about it happens at a known time."""
    Customer.objects.filter(account=account).update(clock_now=now)


def look() -> None:
    crossings.look(now=timezone.now())


def told(account: Account) -> list[tuple[str, int]]:
    found = Notification.objects.filter(account=account, kind__startswith="quota").order_by("pk")
    return [(note.kind, note.context["threshold"]) for note in found]


def kinds(account: Account) -> list[str]:
    return list(Notification.objects.filter(account=account).order_by("pk").values_list("kind", flat=True))


def recorded(account: Account) -> list[int]:
    return sorted(Crossing.objects.filter(account=account).values_list("threshold", flat=True))


def test_half_four_fifths_and_the_end_are_each_told_once(account: Account, use: Use) -> None:
    for units in (49, 1, 10, 20, 14, 1, 5):
        use(units)
        look()
        look()

    assert told(account) == [("quota", 50), ("quota", 80), ("quota_urgent", 95), ("quota_urgent", 100)]


def test_a_jump_tells_the_highest_and_records_all(account: Account, use: Use) -> None:
    use(40)
    look()
    use(57)
    look()

    assert told(account) == [("quota_urgent", 95)]
    assert recorded(account) == [50, 80, 95]
    assert Crossing.objects.filter(is_told=True).count() == 1


def test_the_letter_says_how_much_when_it_comes_back_and_where_there_is_more(
    account: Account, use: Use, alice: User, bob: User
) -> None:
    use(100)
    look()
    outbox.deliver_due(now=timezone.now())

    [letter] = mail.outbox
    assert letter.to == ["alice@example.com"]
    assert letter.subject == "All 100 generations are used"
    assert "has used 100 of 100 generations. They come back on 15 December 2026" in letter.body
    assert "A bigger plan has more at once: http://testserver/pricing/" in letter.body
    assert "http://testserver/usage/alerts/" in letter.body


def test_a_larger_allowance_arms_every_threshold_anew(account: Account, use: Use) -> None:
    use(85)
    look()
    subscribe(account, "pro", anchor=BOUGHT)
    use(45)  # 130 of 250
    look()
    use(80)  # 210
    look()

    assert told(account) == [("quota", 80), ("quota", 50), ("quota", 80)]


def test_the_next_window_begins_without_warnings(account: Account, use: Use) -> None:
    use(80)
    look()
    at(account, NOON + 30 * DAY)
    use(50, now=NOON + 30 * DAY)
    look()

    assert told(account) == [("quota", 80), ("quota", 50)]


def test_warnings_about_a_window_that_is_over_are_no_news(account: Account, use: Use) -> None:
    use(80)
    at(account, NOON + 40 * DAY)
    look()

    assert told(account) == []
    assert recorded(account) == [50, 80]


def test_other_thresholds_than_the_houses(account: Account, use: Use, alice: User) -> None:
    choosing.choose(account=account, percents=[90, 10, 10], amounts=[], by=alice, now=NOON)
    for units in (10, 40, 40, 10):
        use(units)
        look()

    assert told(account) == [("quota", 10), ("quota", 90)]
    assert recorded(account) == [10, 90, 100]  # that it was used up is known: it comes back


def test_no_thresholds_are_no_warnings(account: Account, use: Use, alice: User) -> None:
    choosing.choose(account=account, percents=[], amounts=[], by=alice, now=NOON)
    use(100)
    look()

    assert told(account) == []


def test_unlimited_and_unpaid_use_is_nothing_to_warn_of(account: Account, generate: Any) -> None:
    subscribe(account, "boundless", anchor=BOUGHT)
    generate(1_000_000)
    generate(1_000, feature="tokens")
    look()

    assert kinds(account) == []


def test_a_daily_allowance_is_told_in_the_site_and_not_by_mail(account: Account, use: Use) -> None:
    subscribe(account, "free", anchor=BOUGHT, is_live=False, status="canceled")
    use(5, feature="queries")
    look()

    assert told(account) == [("quota_urgent", 100)]
    assert outbox.deliver_due(now=timezone.now()) == 0


def test_what_was_committed_late_under_a_lower_number_is_seen_all_the_same(
    account: Account, use: Use, alice: User
) -> None:
    """Two acts at once: the one with the lower number commits after the look at the higher one."""
    late = use(50)
    record = UsageRecord.objects.get(pk=late.record_id)
    UsageRecord.objects.filter(pk=record.pk).delete()
    other = opened(alice, name="Another")
    subscribe(other, "hundred", anchor=BOUGHT)
    at(other, NOON)
    metering.consume(account=other, feature="generations", units=1, idempotency_key="x", now=NOON)
    look()
    assert told(account) == []

    record.save(force_insert=True)
    look()

    assert told(account) == [("quota", 50)]


def test_the_ledger_is_left_behind_once_it_cannot_change_any_more(account: Account, use: Use) -> None:
    now = timezone.now()
    newest = use(1).record_id
    crossings.look(now=now)
    assert crossings.look(now=now + timedelta(seconds=59)) == 1
    assert crossings.look(now=now + timedelta(seconds=61)) == 1
    assert crossings.look(now=now + timedelta(seconds=62)) == 0
    assert LedgerMark.objects.get().done == newest


def test_one_account_in_trouble_does_not_keep_the_others_from_their_warnings(
    account: Account, use: Use, alice: User
) -> None:
    use(50)
    AlertWish.objects.create(account=account, percents=["many"], changed_at=NOON)
    other = opened(alice, name="Another")
    subscribe(other, "hundred", anchor=BOUGHT)
    at(other, NOON)
    metering.consume(account=other, feature="generations", units=50, idempotency_key="x", now=NOON)

    look()

    assert told(other) == [("quota", 50)]


@pytest.mark.postgres
def test_looks_at_the_same_time_tell_it_once(account: Account, use: Use) -> None:
    use(97)
    start = threading.Barrier(6)

    def one(_: int) -> None:
        start.wait()
        try:
            look()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(6)))

    assert told(account) == [("quota_urgent", 95)]
    assert recorded(account) == [50, 80, 95]


# --- Back again


def test_who_had_used_it_up_is_told_that_it_is_back_and_nobody_else(
    account: Account, use: Use, alice: User, bob: User
) -> None:
    other = opened(alice, name="Another")
    subscribe(other, "hundred", anchor=BOUGHT)
    at(other, NOON)
    metering.consume(account=other, feature="generations", units=99, idempotency_key="x", now=NOON)
    use(100)
    look()
    assert returning.tell(now=timezone.now()) == 0

    for one in (account, other):
        at(one, NOON + 30 * DAY)
    assert returning.tell(now=timezone.now()) == 1
    assert returning.tell(now=timezone.now()) == 0

    assert "allowance_back" in kinds(account)
    assert "allowance_back" not in kinds(other)
    mail.outbox.clear()
    outbox.deliver_due(now=timezone.now())
    back = [letter for letter in mail.outbox if "is back" in letter.subject]
    assert sorted(letter.to[0] for letter in back) == ["alice@example.com", "bob@example.com"]
    assert "can use 100 generations again from now on" in back[0].body


def test_who_has_lost_the_plan_is_not_told_that_it_is_back(account: Account, use: Use) -> None:
    subscribe(account, "pro", anchor=BOUGHT)
    use(20, feature="documents")
    look()
    subscribe(account, "pro", anchor=BOUGHT, is_live=False, status="canceled")
    at(account, NOON + 30 * DAY)

    returning.tell(now=timezone.now())

    assert "allowance_back" not in kinds(account)


def test_after_a_long_sleep_nobody_is_told_what_they_know(account: Account, use: Use) -> None:
    use(100)
    look()
    at(account, NOON + 60 * DAY)

    assert returning.tell(now=timezone.now()) == 1

    assert "allowance_back" not in kinds(account)


# --- Money


@pytest.fixture
def pay(generate: Any, account: Account) -> Use:
    """Use tokens at fifty cents each."""
    subscribe(account, "payg", anchor=BOUGHT)
    at(account, NOON)

    def act(units: int, **more: Any) -> metering.Receipt:
        receipt: metering.Receipt = generate(units, feature="tokens", **more)
        look()
        look()
        return receipt

    return act


def test_sums_that_were_named_are_told_once_a_month_the_highest_of_several(
    account: Account, pay: Use, alice: User
) -> None:
    choosing.choose(account=account, percents=[], amounts=[1000, 3000, 5000], by=alice, now=NOON)

    pay(10)
    assert kinds(account) == []
    pay(70)  # $40
    assert kinds(account) == ["spend"]
    assert Notification.objects.get().subject == "Usage has reached $30.00"
    assert "has used $40.00 worth since 15 November 2026" in Notification.objects.get().text
    at(account, NOON + 30 * DAY)
    pay(20, now=NOON + 30 * DAY)
    assert kinds(account) == ["spend", "spend"]


def test_a_budget_that_is_used_up_is_told_and_a_raised_one_again(
    account: Account, pay: Use, alice: User
) -> None:
    budgets.set_budget(account=account, amount=1000, now=NOON, by=alice)
    pay(19)
    assert kinds(account) == []
    pay(1)
    assert kinds(account) == ["budget_reached"]
    with pytest.raises(metering.AllowanceExhausted):
        pay(1)

    budgets.set_budget(account=account, amount=1500, now=NOON, by=alice)
    pay(10)
    assert kinds(account) == ["budget_reached", "budget_reached"]


def test_a_plan_that_would_have_cost_less_is_named_once_a_month(
    account: Account, pay: Use, alice: User
) -> None:
    pay(198)  # $99: Boundless is $99, which is not less
    assert kinds(account) == []
    pay(1)
    pay(100)

    assert kinds(account) == ["cheaper_plan"]
    note = Notification.objects.get()
    assert note.subject == "You spent $99.50 this month; Boundless is $99"
    assert "has unlimited tokens" in note.text
    page = _as(account, alice).get("/usage/alerts/").content.decode()
    assert "You spent $149.50 this month; Boundless is $99." in page


def test_the_banner_names_the_cheaper_plan_to_those_who_can_choose_it(
    account: Account, pay: Use, alice: User, bob: User
) -> None:
    pay(199)

    assert "Boundless is $99.</strong>" in _as(account, alice).get("/usage/").content.decode()
    assert "Boundless is $99" not in _as(account, bob).get("/usage/").content.decode()


def test_the_banner_of_a_used_up_budget_has_the_button_or_names_whom_to_ask(
    account: Account, pay: Use, alice: User, bob: User
) -> None:
    budgets.set_budget(account=account, amount=1000, now=NOON, by=alice)
    pay(20)

    admins = _as(account, alice).get("/notifications/").content.decode()
    members = _as(account, bob).get("/notifications/").content.decode()
    assert "The budget of $10.00 is used up." in admins
    assert "Change the budget" in admins
    assert "$10.00" not in members
    assert "The budget for this month is used up." in members
    assert "Ask Alice" in members


# --- The page


def test_owners_set_their_own_thresholds(account: Account, alice: User) -> None:
    page = _as(account, alice)
    assert 'value="50, 80, 95, 100"' in page.get("/usage/alerts/").content.decode()

    saved = page.post("/usage/alerts/", {"percents": " 90%; 25 90", "amounts": "29.50, 10"}, follow=True)

    assert "Saved." in saved.content.decode()
    assert choosing.of(account) == choosing.Wishes(percents=(25, 90), amounts=(1000, 2950))
    shown = page.get("/usage/alerts/").content.decode()
    assert 'value="25, 90"' in shown
    assert 'value="10.00, 29.50"' in shown


@pytest.mark.parametrize(
    ("percents", "amounts"),
    [
        ("0", ""),
        ("101", ""),
        ("-5", ""),
        ("many", ""),
        ("5.5", ""),
        ("٥٠", ""),
        ("1,2,3,4,5,6,7,8,9,10,11", ""),
        ("", "0"),
        ("", "-1"),
        ("", "1.234"),
        ("", "1e3"),
        ("", "NaN"),
        ("", "999999999999"),
        ("", "1.2.3"),
    ],
)
def test_what_is_no_threshold_is_refused_with_words_and_nothing_changes(
    account: Account, alice: User, percents: str, amounts: str
) -> None:
    answer = _as(account, alice).post("/usage/alerts/", {"percents": percents, "amounts": amounts})

    assert answer.status_code == 422
    assert "One thing needs your attention" in answer.content.decode()
    assert choosing.of(account) == choosing.Wishes()


def test_members_look_and_strangers_see_nothing_of_it(
    account: Account, use: Use, bob: User, charlie: User
) -> None:
    use(80)
    look()

    assert "80% of 100" in _as(account, bob).get("/usage/alerts/").content.decode()
    assert _as(account, bob).post("/usage/alerts/", {"percents": "10"}).status_code == 403
    theirs = _as(account, charlie).get("/usage/alerts/").content.decode()
    assert "80% of 100" not in theirs
    assert Client().get("/usage/alerts/").status_code == 302
    assert choosing.of(account) == choosing.Wishes()


def _as(account: Account, user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.post("/account/switch/", {"account": str(account.pk)})
    return client
