"""The usage page's numbers, the event log and the CSV: an account's own, all of them, and nobody else's."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import api_keys
from billing import clock, entitlements, suspension
from tests import factories
from tests.usage.conftest import NOON, opened, subscribe
from tests.usage.test_pages import acting_for, seen
from usage import metering
from usage.models import UsageDay, UsageRecord
from usage.periods import Period
from usage.reports import csv as export
from usage.reports import daily, projection, spans

pytestmark = pytest.mark.django_db


@pytest.fixture
def at_noon():
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def browser(as_alice, account):
    return acting_for(account, as_alice)


def use(account, units=1, *, feature="generations", now=NOON, key=None, **more):
    key = key or f"{feature}-{now:%d-%H}-{units}-{UsageRecord.objects.count()}"
    return metering.consume(
        account=account, feature=feature, units=units, idempotency_key=key, now=now, **more
    )


def test_each_day_is_a_bar_with_a_table_behind_it(browser, account, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    for days_ago, units in ((3, 40), (1, 7), (0, 3)):
        use(account, units, now=NOON - timedelta(days=days_ago))

    page = browser.get("/usage/?feature=generations")

    words = seen(page)
    assert "50 generations" in words
    for day, units in (("17 November 2026", 40), ("19 November 2026", 7), ("20 November 2026", 3)):
        assert f"{day} {units}" in words
    assert page.content.decode().count('class="bar1"') == 3
    assert "most on a day: 40" in words


def test_an_account_on_hold_still_sees_its_days_and_what_they_cost(browser, account, at_noon):
    subscribe(account, "payg", anchor=NOON - timedelta(days=10))
    use(account, 3, feature="tokens", now=NOON - timedelta(days=1))
    suspension.suspend(account=account, reason="spam", now=NOON)

    page = browser.get("/usage/")

    words = seen(page)
    assert "Nothing can be used while the account is on hold." in words
    assert "19 November 2026 3" in words
    assert "Cost of units since 10 November 2026 $1.50" in words
    assert "At this pace" not in words
    with pytest.raises(metering.FeatureNotIncluded):
        use(account, feature="tokens")


def test_the_trend_compares_the_same_number_of_days(browser, account, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=50))
    window_began = date(2026, 11, 1)  # 20 of its days have passed
    use(account, 10, now=datetime(2026, 10, 15, tzinfo=UTC))
    use(account, 99, now=datetime(2026, 9, 20, tzinfo=UTC))  # before the days compared with
    use(account, 15, now=NOON)
    rights = entitlements.of(account, now=NOON)
    span = spans.of(
        "window",
        window=Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        anchor=rights.anchor,
        now=NOON,
    )

    report = daily.of(account, "generations", span=span)

    assert (span.first, span.last, span.passed) == (window_began, date(2026, 11, 30), 20)
    assert span.before == (date(2026, 10, 12), date(2026, 10, 31))
    assert (report.total, report.before, report.trend) == (15, 10, 50)


def test_on_a_windows_first_day_it_is_compared_with_the_day_before(browser, account, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(hours=1))
    use(account, 15, now=NOON)

    page = seen(browser.get("/usage/?feature=generations"))

    assert "The day before 0" in page
    assert "In the" not in page


def test_a_trials_window_is_shown_from_the_day_it_began(browser, account, at_noon):
    ends = NOON + timedelta(days=14)
    trial = {
        "status": "trialing",
        "trial_end": ends,
        "current_period_end": ends,
        "billing_cycle_anchor": ends,
    }
    begins = NOON - timedelta(days=2)
    use(account, 2, feature="generations", now=NOON - timedelta(days=9))  # on the free plan
    subscribe(account, "pro", anchor=begins, **trial)
    use(account, 3, now=NOON)

    page = seen(browser.get("/usage/?feature=generations"))
    assert "Used, 18 November to 4 December 2026 3 generations" in page
    before = seen(browser.get("/usage/?feature=generations&span=last"))
    assert "Used, 4 November to 17 November 2026 2 generations" in before
    # Two days of sixteen have passed.
    rights = entitlements.of(account, now=NOON)
    balance = metering.balance(account, "generations", now=NOON, rights=rights)
    assert projection.of(balance, rights).units == balance.used * 8


def test_the_pace_so_far_says_where_the_month_will_end_and_what_it_costs(account):
    subscribe(account, "payg", anchor=datetime(2026, 11, 10, 12, tzinfo=UTC))
    use(account, 100, feature="tokens", now=NOON)  # ten of thirty days have passed
    rights = entitlements.of(account, now=NOON)

    ahead = projection.of(metering.balance(account, "tokens", now=NOON, rights=rights), rights)

    assert (ahead.units, ahead.cost) == (300, 15_000)


def test_nothing_is_foretold_in_the_first_hours_and_never_beyond_the_limit(account):
    early = datetime(2026, 11, 1, 3, tzinfo=UTC)
    use(account, 1, now=early)
    rights = entitlements.of(account, now=early)
    assert projection.of(metering.balance(account, "generations", now=early, rights=rights), rights) is None

    later = datetime(2026, 11, 3, tzinfo=UTC)
    use(account, 3, now=later)
    rights = entitlements.of(account, now=later)
    ahead = projection.of(metering.balance(account, "generations", now=later, rights=rights), rights)
    assert (ahead.units, ahead.cost) == (5, None)


@pytest.mark.parametrize(
    ("units", "shares"),
    [
        ((1, 1, 1), ["33.4", "33.3", "33.3"]),
        ((1, 1, 1, 1, 1, 1), ["16.7", "16.7", "16.7", "16.7", "16.6", "16.6"]),
        ((999, 1), ["99.9", "0.1"]),
        ((30, 10), ["75", "25"]),
    ],
)
def test_the_shares_of_a_table_add_up_to_a_hundred(browser, account, at_noon, units, shares):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    for number in units:
        person = factories.person()
        factories.MemberFactory(account=account, user=person)
        use(account, number, user=person)

    page = browser.get("/usage/?feature=generations").content.decode()

    members = page.split('id="members"')[1].split("</table>")[0]
    assert re.findall(r">([\d.]+)%<", members) == shares
    assert sum(round(float(share) * 10) for share in shares) == 1000


def test_a_bar_says_a_hundred_only_when_it_is_full(browser, account, at_noon):
    subscribe(account, "pro", anchor=NOON - timedelta(days=10))
    words = seen(browser.get("/usage/"))
    limit = next(b.limit for b in metering.balances(account, now=NOON) if b.feature == "generations")
    assert "(0%)" in words

    use(account, limit - 1)
    assert "(99%)" in seen(browser.get("/usage/"))
    use(account, 1)
    assert "(100%)" in seen(browser.get("/usage/"))


@pytest.mark.parametrize(
    ("used", "mark", "words"),
    [
        (20, 40, "Dashed line: at this pace 40 by 30 November."),
        (40, 80, "Dashed line: at this pace 80 by 30 November."),
        (60, 100, "Dashed line: at this pace all of it is used on 25 November."),
    ],
)
def test_the_tape_shows_where_the_pace_leads(browser, account, used, mark, words):
    began = datetime(2026, 10, 31, tzinfo=UTC)
    with time_machine.travel(began + timedelta(days=15), tick=False):
        subscribe(account, "hundred", anchor=began)
        use(account, used, now=began + timedelta(days=15))

        page = browser.get("/usage/")

    assert f'class="mark" x1="{mark}"' in page.content.decode()
    assert words in seen(page)


def test_no_pace_is_shown_too_early_or_when_all_is_used(browser, account):
    began = datetime(2026, 10, 31, tzinfo=UTC)
    with time_machine.travel(began + timedelta(hours=2), tick=False):
        subscribe(account, "hundred", anchor=began)
        use(account, 20, now=began + timedelta(hours=2))
        assert "Dashed line" not in seen(browser.get("/usage/"))
    with time_machine.travel(began + timedelta(days=15), tick=False):
        use(account, 80, now=began + timedelta(days=15), key="all")
        assert "Dashed line" not in seen(browser.get("/usage/"))


def test_what_was_used_is_told_apart_by_member_and_by_key(browser, account, alice, bob, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    key, _ = api_keys.issue(kind="account", account=account, name="Nightly", now=NOON)
    use(account, 30, user=alice)
    use(account, 50, user=bob)
    use(account, 20, api_key=key)

    words = seen(browser.get("/usage/?feature=generations"))

    assert "Bob 50 50% Alice 30 30% Nobody in person (keys) 20 20%" in words
    assert "Without a key (on the site) 80 80%" in words
    assert f"Nightly ({key.prefix}…) 20 20%" in words


def test_a_member_sees_what_they_used_themselves(as_bob, account, alice, bob, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    use(account, 30, user=alice, key="alices-secret-job")
    use(account, 5, user=bob, key="bobs-job")
    bobs = acting_for(account, as_bob)

    page, log = seen(bobs.get("/usage/?feature=generations")), seen(bobs.get("/usage/log/"))
    file = b"".join(bobs.get("/usage/log.csv").streaming_content).decode()

    assert "Used by you, 10 November to 10 December 2026 5 generations" in page
    assert "By member" not in page
    for shown in (log, file):
        assert "bobs-job" in shown
        assert "alices-secret-job" not in shown


def test_the_log_says_where_units_came_from_and_under_which_key(browser, account, at_noon):
    subscribe(account, "payg", anchor=NOON - timedelta(days=10))
    use(account, 3, feature="tokens", key="order-4711")

    words = seen(browser.get("/usage/log/"))

    assert "Tokens 3 3 paid ($1.50)" in words
    assert "order-4711" in words


def test_the_log_is_narrowed_by_what_day_member_and_key(browser, account, alice, bob, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    key, _ = api_keys.issue(kind="account", account=account, name="CI", now=NOON)
    use(account, key="a", user=alice)
    use(account, key="b", user=bob, now=NOON - timedelta(days=1))
    use(account, key="c", feature="tokens", api_key=key)

    def listed(query):
        return sorted(
            re.findall(r"<code>([abc])</code>", browser.get(f"/usage/log/?{query}").content.decode())
        )

    assert listed("") == ["a", "b", "c"]
    assert listed("feature=tokens") == ["c"]
    assert listed("day=2026-11-19") == ["b"]
    assert listed(f"member={alice.pk}") == ["a"]
    assert listed(f"key={key.pk}") == ["c"]
    assert listed(f"member={bob.pk}&feature=tokens") == []


@pytest.mark.parametrize(
    "query", ["feature=<b>", "day=yesterday", "day=2026-02-30", "member=me", "key=-1", "member=" + "9" * 19]
)
def test_a_wish_that_cannot_be_read_breaks_nothing(browser, account, query):
    assert browser.get(f"/usage/log/?{query}").status_code == 200
    assert browser.get(f"/usage/log.csv?{query}").status_code == 200
    assert browser.get(f"/usage/?span=<b>&{query}").status_code == 200


def rows_of(response):
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_csv_has_every_act_and_adds_up(browser, account, at_noon, monkeypatch):
    monkeypatch.setattr("usage.reports.log.HELPING", 7)
    subscribe(account, "payg", anchor=NOON - timedelta(days=10))
    for number in range(23):
        use(account, number + 1, feature="tokens", key=f"act {number}")

    rows = rows_of(browser.get("/usage/log.csv"))

    assert [row["idempotency_key"] for row in rows] == [f"act {number}" for number in reversed(range(23))]
    assert sum(int(row["units"]) for row in rows) == sum(range(24))
    assert {row["currency"] for row in rows} == {"usd"}
    assert rows[0]["cost"] == "11.50"


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")'])
def test_no_cell_of_the_csv_is_run_by_a_spreadsheet(browser, account, at_noon, evil):
    use(account, key=evil)

    [row] = rows_of(browser.get("/usage/log.csv"))

    assert row["idempotency_key"] == f"'{evil}"
    assert row["units"] == "1"
    assert export.harmless(-5) == -5


def test_nobody_elses_acts_are_in_the_log_or_the_file(browser, account, charlie, at_noon):
    use(charlie.personal_account, key="charlies")
    elsewhere = opened(factories.person(email="erin@example.com"), name="Elsewhere")
    use(elsewhere, key="erins")

    for shown in (
        browser.get("/usage/log/").content,
        b"".join(browser.get(f"/usage/log.csv?member={charlie.pk}").streaming_content),
        browser.get("/usage/").content,
    ):
        assert b"charlies" not in shown
        assert b"erins" not in shown


def test_a_guest_reads_the_page_and_sees_no_money(as_bob, account, bob, at_noon):
    subscribe(account, "payg", anchor=NOON - timedelta(days=10))
    use(account, 3, feature="tokens")
    account.members.filter(user=bob).update(role="guest")

    words = seen(acting_for(account, as_bob).get("/usage/"))

    assert "$" not in words


def test_the_page_never_reads_the_ledger(browser, account, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    use(account, 5)

    with CaptureQueriesContext(
        connection,
    ) as asked:
        browser.get("/usage/?feature=generations")

    assert not [query["sql"] for query in asked if "usage_usagerecord" in query["sql"]]


def test_strangers_are_sent_to_sign_in(client: Client, db):
    assert client.get("/usage/log.csv").status_code == 302


def test_what_left_people_used_stays_in_the_sum(browser, account, bob, at_noon):
    subscribe(account, "boundless", anchor=NOON - timedelta(days=10))
    use(account, 5, user=bob)
    UsageDay.objects.update(user_id=987654)

    assert "Somebody who left 5 100%" in seen(browser.get("/usage/?feature=generations"))
    assert clock.wall() == NOON
