"""California Vision OCR: ten documents for nothing, Pro for $10, Enterprise for $99 with an API and its keys."""

import re

import pytest
from playwright.sync_api import Page, expect

from billing.models import Payment, Subscription
from tests.journeys import steps
from tests.stack.site import LiveSite


@pytest.fixture(autouse=True)
def _ocr(settings):
    settings.BILLING_CATALOG = "ocr"
    settings.STRIPE_TEST_CLOCKS = True


def test_from_ten_free_documents_by_pro_to_enterprise_with_a_key(page: Page, live_site: LiveSite):
    # Three columns; who has not signed up is asked to.
    page.goto("/pricing/")
    assert page.locator("main article h2").all_inner_texts() == ["Free", "Pro", "Enterprise"]
    expect(page.locator("#plan-pro")).to_contain_text("$10")
    expect(page.locator("#plan-enterprise")).to_contain_text("$99")
    account = steps.come_in(page, "kim@example.com")
    page.goto("/pricing/")
    assert page.locator("#plan-free").get_by_text("Your plan").is_visible()
    assert page.get_by_role("button", name=re.compile("^Choose (Pro|Enterprise)$")).count() == 2

    # Free: ten documents, and no AI analysis at all.
    assert steps.use(page, "documents", 10, "all of free").status == 200
    refused = steps.use(page, "documents", 1, "eleventh")
    assert (refused.status, refused.json()["code"]) == (402, "allowance_exhausted")
    assert refused.json()["upgrade_url"].endswith("/pricing/")
    assert steps.use(page, "ai_analyses", 1, "none").status == 403
    keys = page.goto("/account/keys/")
    assert keys and keys.status == 403
    expect(page.get_by_text("Not on this plan.")).to_be_visible()
    expect(page.get_by_role("button", name="Make key")).to_have_count(0)

    # Pro, paid by card: what was used of the month stays used.
    steps.choose(page, "Pro")
    steps.pay(page)
    steps.is_theirs(page, "Pro")
    assert limits(page) == {"pages_per_file": 50, "file_bytes": 20 * 1024**2}
    assert steps.use(page, "ai_analyses", 50, "all analyses").status == 200
    assert steps.use(page, "ai_analyses", 1, "one more").status == 402
    page.goto("/account/keys/")
    expect(page.get_by_text("Not on this plan.")).to_be_visible()

    # Enterprise: the difference is paid, and there are keys.
    steps.switch_to(page, "ocr_enterprise_month")
    assert Subscription.objects.live().get(account=account).plan_key == "enterprise"
    assert limits(page) == {"pages_per_file": 100, "file_bytes": 50 * 1024**2}
    key = steps.make_key(page, "scanner")
    assert steps.with_key(page, key, "/api/v1/usage", act("documents", 900, "archive")).status == 200
    full = steps.with_key(page, key, "/api/v1/usage", act("ai_analyses", 451, "too many"))
    assert (full.status, full.json()["limit"], full.json()["used"]) == (402, 500, 50)

    # Shown once, and refused from the moment it is revoked.
    page.goto("/account/keys/")
    assert key not in page.content()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=re.compile("^Revoke scanner")).click()
    expect(page.get_by_text("is refused from the next call on")).to_be_visible()
    assert steps.with_key(page, key, "/api/v1/entitlements").status == 401


def test_who_leaves_enterprise_keeps_the_key_for_the_day_they_come_back(page: Page, live_site: LiveSite):
    account = steps.come_in(page, "ann@example.com")
    steps.choose(page, "Enterprise")
    steps.pay(page)
    steps.is_theirs(page, "Enterprise")
    assert Payment.objects.get(account=account).amount_paid == 9900
    key = steps.make_key(page, "scanner")
    assert (
        steps.with_key(page, key, "/api/v1/subscription").json()["subscription"]["plan"]["key"]
        == "enterprise"
    )

    # Down to Pro: Enterprise until the month is over, then the key is refused with the reason.
    steps.switch_to(page, "ocr_pro_month")
    assert steps.with_key(page, key, "/api/v1/entitlements").status == 200
    page.goto("/billing/")
    steps.jump(page, "A month")
    refused = steps.with_key(page, key, "/api/v1/entitlements")
    assert (refused.status, refused.json()["code"]) == (403, "feature_not_included")

    # Canceled in two clicks: Pro to its last day.
    page.goto("/billing/")
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("button", name=re.compile("Cancel my plan on")).click()
    expect(page.locator("aside").get_by_text("Your plan ends on")).to_be_visible()
    page.locator("aside").get_by_role("button", name="Keep my plan").click()
    expect(page.get_by_text("Your plan goes on.")).to_be_visible()

    # Up again: the same key works.
    steps.switch_to(page, "ocr_enterprise_month")
    assert steps.with_key(page, key, "/api/v1/entitlements").json()["plan"]["key"] == "enterprise"


def limits(page: Page) -> dict[str, int]:
    found: dict[str, int] = steps.ask(page, "/api/v1/entitlements").json()["limits"]
    return found


def act(feature: str, units: int, name: str) -> dict[str, object]:
    return {"feature": feature, "units": units, "idempotency_key": name}
