"""Somebody buys pages ahead, uses them, and puts a lid on what units may cost; on a desk and on a phone."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import Account, User
from billing import credits, grants
from tests import factories
from tests.journeys.steps import GOOD_CARD, fill_card
from tests.journeys.test_pages import Look
from tests.stack.site import LiveSite
from usage import budgets, metering

CATALOG = str(Path(__file__).parent.parent / "billing" / "packs.toml")


@pytest.fixture(autouse=True)
def copy_shop(settings: Any) -> None:
    settings.BILLING_CATALOG = CATALOG


@pytest.fixture
def kim(transactional_db: None) -> User:
    return factories.person(email="kim@example.com", name="Kim")


@pytest.fixture
def house(kim: User) -> Account:
    """Kim's organization on a comped Pro, with one colleague."""
    house = factories.organization(owner=kim, name="Kim & Sons")
    lee = factories.person(email="lee@example.com", name="Lee")
    factories.MemberFactory(account=house, user=lee, role="member")
    grants.give(account=house, plan_key="pro", kind="comped", reason="Friends", now=timezone.now())
    return house


def sign_in(context: BrowserContext, site: LiveSite, user: User, account: Account) -> None:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.post("/account/switch/", {"account": str(account.pk)})
    name = site_settings.SESSION_COOKIE_NAME
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": site.url}])


def test_pages_are_bought_ahead_and_used_when_the_allowance_is(
    live_site: LiveSite, visitor: BrowserContext, page: Page, kim: User, house: Account
) -> None:
    sign_in(visitor, live_site, kim, house)
    page.goto("/billing/credits/")
    expect(page.get_by_text("There are no credits left.")).to_be_visible()
    pack = page.get_by_role("article").filter(has=page.get_by_role("heading", name="500 pages"))
    pack.get_by_label("How many").fill("2")
    pack.get_by_role("button", name="Pay $25.00 for each").click()
    fill_card(page, GOOD_CARD)
    page.locator("button.go", has_text="Pay").click()
    expect(page.get_by_text("Paid: 1,000 pages are added to your credits.")).to_be_visible()

    metering.consume(
        account=house, feature="pages", units=130, idempotency_key="book", now=timezone.now(), user=kim
    )
    page.goto("/billing/credits/")
    expect(page.locator("section", has=page.get_by_role("heading", name="What is left"))).to_contain_text(
        "970 pages"
    )
    expect(page.get_by_role("row").filter(has_text="Used: pages")).to_contain_text("-30")
    page.goto("/billing/")
    expect(page.get_by_role("row").filter(has_text="$50.00")).to_have_count(1)


def test_an_owner_puts_a_lid_on_money_and_on_a_colleague(
    live_site: LiveSite, visitor: BrowserContext, page: Page, kim: User, house: Account
) -> None:
    sign_in(visitor, live_site, kim, house)
    page.goto("/usage/budgets/")
    page.get_by_label("At most, each billing month").fill("12,50")
    page.get_by_role("button", name="Set the budget").click()
    expect(page.get_by_role("alert")).to_contain_text("Write a sum such as 30 or 30.00")
    page.get_by_label("At most, each billing month").fill("12.50")
    page.get_by_role("button", name="Set the budget").click()
    expect(page.get_by_text("At most $12.50 a month is charged")).to_be_visible()
    page.get_by_label("Member", exact=True).select_option(label="Lee")
    page.get_by_label("What", exact=True).select_option(label="Scans")
    page.get_by_label("At most, each window").fill("40")
    page.get_by_role("button", name="Set the member’s budget").click()
    expect(page.get_by_role("row").filter(has_text="Lee")).to_contain_text("40 a month")
    page.get_by_role("button", name="Remove the budget of Lee for Scans").click()
    expect(page.get_by_text("No member has a budget.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_the_pages_are_accessible_and_fit(
    browser: Browser, live_site: LiveSite, kim: User, house: Account, scheme: Any, width: int
) -> None:
    _furnish(house, kim)
    context = browser.new_context(
        base_url=live_site.url, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    sign_in(context, live_site, kim, house)
    look = Look()
    for path in ("/billing/credits/", "/usage/budgets/", "/pricing/"):
        look.at(context.new_page(), path, axe=True)
    context.close()
    assert look.faults == []


def _furnish(house: Account, kim: User) -> None:
    """A history to be shown."""
    now = timezone.now()
    for number, ends in enumerate((None, now + timedelta(days=40), now + timedelta(seconds=1))):
        credits.give(
            account=house,
            feature="pages",
            units=500,
            source="gift",
            source_key=f"gift:{number}",
            now=now,
            expires_at=ends,
            reason="The print head was broken for a week",
        )
    metering.consume(account=house, feature="pages", units=130, idempotency_key="book", now=now, user=kim)
    budgets.set_budget(account=house, amount=1250, now=now, by=kim)
    for member in house.members.select_related("user"):
        budgets.set_member_budget(account=house, user=member.user, feature="scans", units=40, now=now, by=kim)
