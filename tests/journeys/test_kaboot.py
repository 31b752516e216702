"""Kaboot: AI generations at $5 a month or $50 a year, 250 each month, one day of payment grace."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from billing.models import Payment, Subscription
from tests.journeys import steps
from tests.stack.site import LiveSite


@pytest.fixture(autouse=True)
def _kaboot(settings):
    settings.BILLING_CATALOG = "kaboot"


def test_a_year_with_kaboot_from_sign_up_to_a_failed_renewal_and_back(page: Page, live_site: LiveSite):
    steps.sign_up(page, "kim@example.com")
    account = Account.objects.get(person__email="kim@example.com")

    # Without a plan there are no generations, and the page says where to get some.
    page.goto("/demo/generate/")
    page.get_by_role("button", name="Generate").click()
    expect(
        page.locator("main").get_by_role("link", name=re.compile("plan|upgrade", re.I)).first
    ).to_be_visible()

    # Yearly, with the good card; the success page turns true by itself.
    steps.choose(page, "Pro", interval="Yearly")
    steps.pay(page)
    expect(page.get_by_role("heading", name="Pro is yours")).to_be_visible(timeout=30_000)
    assert Subscription.objects.get(account=account).price_lookup_key == "kaboot_pro_year"

    # 250 generations; the 251st is refused with the day they come back, and no bigger plan is made up.
    assert steps.use(page, "ai_generations", 249, "first-month").status == 200
    page.goto("/demo/generate/")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("main")).to_contain_text("250")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("main")).to_contain_text("All 250 generations are used. They come back on")
    expect(page.locator("main").get_by_role("link", name=re.compile("upgrade", re.I))).to_have_count(0)
    refused = steps.use(page, "ai_generations", 1, "one-too-many")
    assert (refused.status, refused.json()["code"]) == (402, "allowance_exhausted")

    # A month passes: 250 again without a new payment.
    steps.jump(page, "A month")
    assert steps.use(page, "ai_generations", 250, "second-month").status == 200
    assert steps.use(page, "ai_generations", 1, "second-month-too-many").status == 402
    assert Payment.objects.filter(account=account, status="paid").count() == 1

    # Twelve months have passed: renewed, and paid once more.
    for _ in range(11):
        steps.jump(page, "A month")
    steps.eventually(lambda: Payment.objects.filter(account=account, status="paid").count() == 2)
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("$50.00")
    expect(page.locator("main")).to_contain_text("Active")

    # The next renewal is declined: one day of grace, said plainly on every page.
    steps.change_card(page, steps.FAILS_LATER_CARD)
    for _ in range(11):
        steps.jump(page, "A month")
    for _ in range(3):
        steps.jump(page, "A week")
    for _ in range(12):
        if page.get_by_text("Your last payment did not go through.").count():
            break
        steps.jump(page, "A day")
    page.goto("/usage/")
    expect(page.get_by_text("Your last payment did not go through.")).to_be_visible()
    assert steps.use(page, "ai_generations", 1, "in-grace").status == 200

    # The day is over: downgraded to free, billing still reachable.
    steps.jump(page, "A day")
    refused = steps.use(page, "ai_generations", 1, "after-grace")
    assert refused.status in (402, 403)
    page.goto("/billing/")
    expect(page.get_by_text("Your plan is off because a payment is missing.")).to_be_visible()

    # Pays the open invoice with a good card, and is back.
    steps.change_card(page, steps.GOOD_CARD)
    page.goto("/billing/")
    page.locator("aside").get_by_role("link", name="Pay the open invoice").click()
    steps.fill_card(page, steps.GOOD_CARD)
    page.get_by_role("button", name=re.compile("^Pay")).click()
    expect(page.get_by_text("Paid", exact=True).first).to_be_visible()
    steps.eventually(lambda: Subscription.objects.get(account=account, is_live=True).status == "active")
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("Active")
    assert steps.use(page, "ai_generations", 1, "back").status == 200
