"""Kaboot: AI generations at $5 a month or $50 a year, 250 each month, one day of payment grace."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from billing import clock, entitlements, grants
from billing.models import Payment, Subscription
from tests.billing import shopping
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
    let_pass_most_of_the_year(account)
    steps.jump(page, "A week")
    steps.eventually(lambda: Payment.objects.filter(account=account, status="paid").count() == 2)
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("$50.00")
    expect(page.locator("main")).to_contain_text("Active")

    # The next renewal is declined: one day of grace, said plainly on every page.
    steps.change_card(page, steps.FAILS_LATER_CARD)
    let_pass_most_of_the_year(account)
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


def test_who_does_not_like_it_has_everything_back_within_seven_days_and_once(page: Page, live_site: LiveSite):
    account = steps.come_in(page, "ann@example.com")
    page.goto("/pricing/")
    expect(page.locator("#plan-pro")).to_contain_text("All of it back within 7 days of the first payment.")
    # $5 × 12 is $60, and $50 saves $10.
    page.get_by_role("radio", name=re.compile("Yearly")).check()
    expect(page.locator("#plan-pro")).to_contain_text("Saves $10 a year (16%)")
    steps.choose(page, "Pro", interval="Monthly")
    steps.pay(page)
    steps.is_theirs(page, "Pro")
    assert steps.use(page, "ai_generations", 3, "tried").status == 200

    page.goto("/billing/")
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("link", name="Take the money back").click()
    page.set_viewport_size({"width": 320, "height": 900})
    sum_on_a_phone = page.locator("dd").last.bounding_box()
    assert sum_on_a_phone is not None
    assert sum_on_a_phone["height"] < 40, "The sum is broken into lines of one letter."
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Give me $5.00 back and end Pro").click()
    steps.eventually(lambda: Payment.objects.get(account=account).amount_refunded == 500)
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("$5.00 refunded")
    assert steps.use(page, "ai_generations", 1, "after").status == 403

    # Bought again: there is no second time.
    steps.choose(page, "Pro", interval="Monthly")
    steps.pay(page)
    steps.is_theirs(page, "Pro")
    page.goto("/billing/money-back/")
    expect(page.get_by_role("heading", name="You had your money back")).to_be_visible()


def test_who_was_here_before_there_were_prices_generates_without_end(page: Page, live_site: LiveSite):
    account = steps.come_in(page, "old@example.com")
    page.goto("/pricing/")
    expect(page.get_by_text("Grandfathered")).to_have_count(0)
    grants.give(
        account=account,
        plan_key="grandfathered",
        kind="grandfathered",
        reason="with us from the start",
        now=clock.now(account),
    )

    assert steps.use(page, "ai_generations", 251, "more than Pro").status == 200
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("Given to you")
    page.goto("/pricing/")
    expect(
        page.get_by_text("You are on Grandfathered, which is not for sale. It stays yours")
    ).to_be_visible()

    assert entitlements.of(account, now=clock.now(account)).allowance("ai_generations").quantity is None


def let_pass_most_of_the_year(account: Account) -> None:
    """To two days before the renewal, in one step where the pages' clock takes eleven."""
    bought = Subscription.objects.live().get(account=account)
    assert bought.current_period_end is not None
    shopping.let_pass(account, bought.current_period_end - timedelta(days=2))
