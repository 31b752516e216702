"""The usage page, the header's count and the demo's button, as a person without JavaScript sees them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Member, User
from billing import suspension
from billing.models import Customer
from tests.usage.conftest import NOON, opened, subscribe
from usage import metering
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(as_alice: Client, account: Account) -> Client:
    """Alice, acting for her organization."""
    return acting_for(account, as_alice)


def acting_for(account: Account, browser: Client) -> Client:
    session = browser.session
    session["account_id"] = str(account.pk)
    session.save()
    return browser


def seen(response: Any) -> str:
    """The words of a page."""
    without_tags = re.sub(r"<[^>]*>", " ", response.content.decode())
    return re.sub(r"\s+", " ", without_tags)


def press(browser: Client, page: Any) -> Any:
    """Press the button of a page that was shown."""
    key = re.search(r'name="key" value="([^"]+)"', page.content.decode())
    assert key
    return browser.post("/demo/generate/", {"key": key[1]}, follow=True)


def test_the_usage_page_says_what_is_left_and_when_it_comes_back(browser: Client, account: Account) -> None:
    metering.consume(account=account, feature="generations", units=4, idempotency_key="k", now=timezone.now())

    page = seen(browser.get("/usage/"))

    assert "Queries 0 of 5 (0%)" in page
    assert "Generations 4 of 5 (80%) 1 left. Back to 5 on" in page


@pytest.mark.parametrize("used", [80, 100])
def test_who_has_the_biggest_plan_is_not_sent_to_look_at_plans(
    browser: Client, account: Account, used: int
) -> None:
    subscribe(account, "pro", anchor=timezone.now() - timedelta(hours=1))
    metering.consume(account=account, feature="queries", units=used, idempotency_key="k", now=timezone.now())

    page = seen(browser.get("/usage/"))

    assert "See plans" not in page
    assert "Talk to us" in page


def test_who_has_a_smaller_plan_is_shown_the_plans(browser: Client, account: Account) -> None:
    metering.consume(account=account, feature="queries", units=5, idempotency_key="k", now=timezone.now())

    assert "See plans" in seen(browser.get("/usage/"))


@pytest.mark.parametrize("hold", ["suspended", "dispute_lost"])
def test_on_hold_the_demo_says_that_and_not_that_the_plan_lacks_it(
    browser: Client, account: Account, hold: str
) -> None:
    page = browser.get("/demo/generate/")
    suspension.suspend(account=account, reason="spam", now=timezone.now())
    if hold == "dispute_lost":
        Customer.objects.filter(account=account).update(suspended_at=None, dispute_state="lost")
    why = " because a bank took a payment back" if hold == "dispute_lost" else ""

    for shown in (browser.get("/demo/generate/"), press(browser, page)):
        assert f"This account is on hold{why}. Nothing can be used until that is settled" in seen(shown)
        assert "please write to help@counting.example" in seen(shown)
        assert "does not include" not in seen(shown)
        assert ">Generate</button>" not in shown.content.decode()


def test_the_bars_are_full_when_everything_is_used(browser: Client, account: Account) -> None:
    metering.consume(account=account, feature="generations", units=5, idempotency_key="k", now=timezone.now())
    page = browser.get("/usage/")

    assert "5 of 5 (100%)" in seen(page)
    assert 'class="tape bad"' in page.content.decode()


def test_a_day_ends_at_midnight_where_the_account_lives(browser: Client, account: Account) -> None:
    account.timezone = "Asia/Tokyo"
    account.save()
    metering.consume(account=account, feature="queries", idempotency_key="k", now=timezone.now())

    assert "Queries 1 of 5 (20%) 4 left. Back to 5 at 00:00." in seen(browser.get("/usage/"))


def test_metered_and_unlimited_are_counted_without_a_limit(browser: Client, account: Account) -> None:
    subscribe(account, "payg", anchor=timezone.now())
    assert "0 tokens so far Paid by the token" in seen(browser.get("/usage/"))

    subscribe(account, "boundless", anchor=timezone.now())
    assert "Generations 0 of unlimited" in seen(browser.get("/usage/"))


def test_the_header_counts_down_as_the_button_is_pressed(browser: Client, account: Account) -> None:
    page = browser.get("/demo/generate/")
    assert "5 generations left" in seen(page)

    page = press(browser, page)

    assert "4 generations left" in seen(page)
    assert "Done: one generation used, 4 left." in seen(page)
    assert UsageRecord.objects.get().user is not None


def test_pressing_twice_or_reloading_counts_once(browser: Client) -> None:
    page = browser.get("/demo/generate/")

    press(browser, page)
    again = press(browser, page)

    assert "counted already" in seen(again)
    assert UsageRecord.objects.count() == 1


def test_the_sixth_press_is_refused_with_the_way_to_more(browser: Client) -> None:
    page = browser.get("/demo/generate/")
    for _ in range(5):
        page = press(browser, page)

    refused = press(browser, page)

    assert refused.status_code == 402
    assert "All 5 generations are used." in seen(refused)
    assert 'href="http://testserver/pricing/"' in refused.content.decode()
    assert UsageRecord.objects.count() == 5


def test_who_may_not_buy_is_told_whom_to_ask(as_bob: Client, account: Account) -> None:
    bob = acting_for(account, as_bob)
    page = bob.get("/demo/generate/")
    for _ in range(5):
        page = press(bob, page)

    refused = press(bob, page)

    assert "Ask the owner or an admin of Alice &amp; Co." in seen(refused)
    assert ">Upgrade<" not in refused.content.decode()


def test_a_guest_is_told_that_guests_only_look(as_bob: Client, bob: User, account: Account) -> None:
    Member.objects.filter(user=bob, account=account).update(role="guest")
    guest = acting_for(account, as_bob)

    refused = press(guest, guest.get("/demo/generate/"))

    assert "Guests look but do not use." in seen(refused)
    assert not UsageRecord.objects.exists()


def test_the_button_exists_in_the_demo_only(browser: Client, settings: Any) -> None:
    settings.DEMO = False

    assert browser.get("/demo/generate/").status_code == 404
    assert browser.post("/demo/generate/").status_code == 404
    assert "Use one" not in seen(browser.get("/usage/"))


def test_what_was_done_is_listed_in_pages(browser: Client, account: Account, alice: User) -> None:
    subscribe(account, "boundless", anchor=NOON - timedelta(days=2))
    for number in range(1, 53):
        metering.consume(
            account=account,
            feature="generations",
            units=number,
            idempotency_key=str(number),
            now=NOON,
            user=alice,
        )

    first = browser.get("/usage/log/")
    older = re.search(r'href="(\?before=\d+)"', first.content.decode())
    assert older
    second = browser.get(f"/usage/log/{older[1]}")

    assert "20 November 2026, 12:00:00 Generations 52 52 allowance" in seen(first)
    assert "Generations 2 2 allowance" in seen(second)
    assert seen(second).count("20 November 2026, 12:00") == 2


def test_another_accounts_use_is_not_shown(browser: Client, charlie: User) -> None:
    metering.consume(
        account=charlie.personal_account, feature="generations", units=5, idempotency_key="secret", now=NOON
    )

    assert "Nothing has been used yet." in seen(browser.get("/usage/log/"))
    assert "Nothing was used in these days." in seen(browser.get("/usage/"))


def test_an_organization_sees_its_own_numbers_after_switching(as_alice: Client, alice: User) -> None:
    first, second = opened(alice), opened(alice)
    metering.consume(account=first, feature="queries", units=3, idempotency_key="k", now=NOON)

    assert UsageRecord.objects.get().account == first
    assert "Nothing has been used yet." in seen(acting_for(second, as_alice).get("/usage/log/"))
    assert "Nothing has been used yet." not in seen(acting_for(first, as_alice).get("/usage/log/"))


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=" + "9" * 40, "before=%00"])
def test_a_page_that_does_not_exist_is_the_first(browser: Client, query: str) -> None:
    assert browser.get(f"/usage/log/?{query}").status_code == 200


@pytest.mark.parametrize("path", ["/usage/", "/usage/log/", "/usage/log.csv", "/demo/generate/"])
def test_strangers_are_sent_to_sign_in(client: Client, path: str, db: None) -> None:
    assert "/login/" in client.get(path)["Location"]


@pytest.mark.parametrize("table", ["usagerecord", "usagecounter", "usageday", "meterevent"])
def test_staff_look_at_the_books_and_change_nothing(as_dana: Client, account: Account, table: str) -> None:
    subscribe(account, "payg", anchor=NOON)
    metering.consume(account=account, feature="tokens", idempotency_key="k", now=NOON)

    listed = as_dana.get(f"/staff/usage/{table}/?q=Alice")

    assert listed.status_code == 200
    assert "Alice" in seen(listed)
    assert as_dana.get(f"/staff/usage/{table}/add/").status_code == 403
