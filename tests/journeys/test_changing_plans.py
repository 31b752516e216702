"""From plan to plan in a browser: the receipt, the button, the bank in between, and the way back."""

import re
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from billing.lifecycle import jumps
from billing.models import Payment, Subscription
from tests import factories
from tests.journeys import steps
from tests.stack.site import LiveSite

ASKS_ALWAYS = "4000 0027 6000 3184"


@pytest.fixture(autouse=True)
def _catalog(settings):
    settings.BILLING_CATALOG = "automation"
    settings.STRIPE_TEST_CLOCKS = True


def buy_team(page: Page, email: str) -> Account:
    """An organization on Team, paid by the month."""
    steps.sign_up(page, email)
    page.goto("/organizations/new/")
    page.get_by_label("Name of the organization").fill("Moss & Sons")
    page.locator("main form button.go").click()
    steps.choose(page, "Team")
    steps.pay(page)
    expect(page.get_by_role("heading", name="Team is yours")).to_be_visible(timeout=30_000)
    return Account.objects.get(name="Moss & Sons", members__user__email=email)


def switch_to(page: Page, plan: str) -> None:
    page.goto("/pricing/")
    page.locator("article").get_by_role("link", name=f"Switch to {plan}", exact=True).locator(
        "visible=true"
    ).click()


def live(account: Account) -> Subscription:
    return Subscription.objects.live().get(account=account)


def test_up_at_once_down_at_the_end_and_the_way_back(page: Page, live_site: LiveSite):
    account = buy_team(page, "lee@example.com")
    steps.jump(page, "A week")

    switch_to(page, "Enterprise")
    expect(page.get_by_role("heading", name="Switch to Enterprise?")).to_be_visible()
    today = page.locator(".receipt .sum dd").inner_text()
    page.get_by_role("button", name=f"Pay {today} and switch").click()
    expect(page.get_by_role("heading", name="Enterprise it is")).to_be_visible(timeout=30_000)
    expect(page.get_by_text(f"You paid {today}")).to_be_visible()
    paid = Payment.objects.filter(account=account).latest("created_at", "pk").amount_paid
    assert f"${paid / 100:,.2f}" == today

    # The back button shows how it is now, and offers nothing a second time.
    page.go_back()
    expect(page.get_by_text("You have exactly this already")).to_be_visible()
    assert Payment.objects.filter(account=account, billing_reason="subscription_update").count() == 1

    switch_to(page, "Team")
    expect(page.get_by_text("You keep everything until")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Single sign-on"))).to_be_visible()
    page.get_by_role("button", name=re.compile("Switch on")).click()
    expect(page.get_by_role("heading", name=re.compile("Team from"))).to_be_visible()
    page.get_by_role("link", name="Billing", exact=True).first.click()
    expect(page.get_by_text("Team instead of Enterprise")).to_be_visible()
    page.get_by_role("button", name="Keep Enterprise").click()
    expect(page.get_by_text("The change is taken back. Enterprise goes on")).to_be_visible()

    switch_to(page, "Team")
    page.get_by_role("button", name=re.compile("Switch on")).click()
    steps.jump(page, "A month")
    page.goto("/billing/")
    expect(page.get_by_role("heading", name=re.compile("^Team"))).to_be_visible()
    assert live(account).plan_key == "team"


def test_the_bank_in_between_is_answered_in_another_window(page: Page, live_site: LiveSite):
    account = buy_team(page, "ann@example.com")
    page.goto("/billing/")
    page.get_by_role("button", name="Change card").click()
    steps.fill_card(page, ASKS_ALWAYS)
    page.get_by_role("button", name="Save card").click()
    complete = page.get_by_role("button", name=re.compile("Complete", re.I))
    if complete.count():
        complete.click()

    switch_to(page, "Enterprise")
    page.get_by_role("button", name=re.compile("and switch")).click()
    expect(page.get_by_role("heading", name="Your bank wants to know that it is you")).to_be_visible(
        timeout=30_000
    )
    assert live(account).plan_key == "team"
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("Confirm at Stripe")).click()
    bank = opened.value
    steps.fill_card(bank, ASKS_ALWAYS)
    bank.get_by_role("button", name=re.compile("^Pay")).click()
    bank.get_by_role("button", name=re.compile("Complete", re.I)).click()

    # The first window finds out by itself.
    expect(page.get_by_role("heading", name="Enterprise it is")).to_be_visible(timeout=30_000)
    assert live(account).plan_key == "enterprise"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_receipt_is_for_everybody_on_every_screen(
    page: Page, browser: Browser, live_site: LiveSite, scheme: str
):
    buy_team(page, "kim@example.com")
    switch_to(page, "Enterprise")
    up = page.url
    page.get_by_role("button", name=re.compile("and switch")).click()
    expect(page.get_by_role("heading", name="Enterprise it is")).to_be_visible(timeout=30_000)
    done = page.url
    switch_to(page, "Team")
    down = page.url
    phone = browser.new_context(
        base_url=live_site.url,
        viewport={"width": 320, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
        storage_state=page.context.storage_state(),
        java_script_enabled=True,
    )
    for address in (down, done, up):
        seen = phone.new_page()
        seen.goto(address)
        over = seen.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = Axe().run(seen).response["violations"]
        assert over <= 0 and not found, (address, over, [violation["id"] for violation in found])
    phone.close()


def test_without_javascript_the_plan_is_changed_all_the_same(
    page: Page, browser: Browser, live_site: LiveSite
):
    account = buy_team(page, "sam@example.com")
    plain = browser.new_context(
        base_url=live_site.url, java_script_enabled=False, storage_state=page.context.storage_state()
    )
    quiet = plain.new_page()
    quiet.goto("/billing/change/?price=automation_team_year")
    quiet.get_by_role("button", name=re.compile("Pay .* and switch")).click()
    expect(quiet.get_by_role("heading", name="Team, yearly it is")).to_be_visible(timeout=30_000)
    assert live(account).price_lookup_key == "automation_team_year"
    plain.close()


def test_the_pages_of_seats_fit_a_phone_and_read_well(
    page: Page, browser: Browser, live_site: LiveSite, settings
):
    settings.BILLING_CATALOG = "hybrid"
    call_command("sync_catalog", verbosity=0)
    account = buy_team(page, "max@example.com")
    jumps.advance(account=account, to=live(account).current_period_end + timedelta(hours=3))
    for email in ("bea@example.com", "cat@example.com"):
        factories.MemberFactory(account=account, user=factories.person(email=email))
    heir = account.members.exclude(role="owner").first()
    phone = browser.new_context(
        base_url=live_site.url,
        viewport={"width": 320, "height": 800},
        storage_state=page.context.storage_state(),
    )
    for address in (
        "/billing/seats/",
        "/billing/change/?seats=7",
        "/billing/change/?seats=2",
        "/account/members/",
        f"/account/members/{heir.pk}/hand-over/",
    ):
        seen = phone.new_page()
        seen.goto(address)
        over = seen.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found = Axe().run(seen).response["violations"]
        assert over <= 0 and not found, (address, over, [violation["id"] for violation in found])
    phone.close()
