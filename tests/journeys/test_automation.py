"""Agnostic Automation Center: organizations on Free, Team or Enterprise; five limits, and only admins touch money."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import Account, Member, User
from billing.models import Payment, Subscription
from tests import factories
from tests.journeys import steps
from tests.stack.site import LiveSite


@pytest.fixture(autouse=True)
def _automation(settings):
    settings.BILLING_CATALOG = "automation"
    settings.STRIPE_TEST_CLOCKS = True


def test_an_organization_grows_out_of_free_and_shrinks_back(page: Page, live_site: LiveSite):
    steps.come_in(page, "lee@example.com")
    # Free already has AI analysis, one project, one run at a time.
    free = steps.ask(page, "/api/v1/entitlements").json()
    assert free["switches"] == {"ai_analysis": True, "sso": False, "audit_logs": False}
    page.goto("/pricing/")
    expect(page.locator("#plan-team")).to_contain_text("For organizations.")

    account = steps.open_organization(page, "Moss & Sons")
    assert claim(page, "projects", 1).status == 200
    full = claim(page, "projects", 1)
    assert (full.status, full.json()["code"], full.json()["limit"]) == (402, "limit_reached", 1)
    assert full.json()["upgrade_url"].endswith("/pricing/")
    assert run(page, "run-1").status == 200
    assert run(page, "run-2").json()["code"] == "limit_reached"
    assert steps.use(page, "test_runs", 100, "all of free").status == 200
    assert steps.use(page, "test_runs", 1, "one more").json()["code"] == "allowance_exhausted"

    # Team by the year; ten projects, five runs at once, a thousand runs this month, the hundred among them.
    steps.choose(page, "Team", interval="Yearly")
    steps.pay(page)
    steps.is_theirs(page, "Team")
    assert Payment.objects.get(account=account).amount_paid == 95000
    assert claim(page, "projects", 9).status == 200
    assert claim(page, "projects", 1).status == 402
    assert [run(page, f"run-{n}").status for n in range(2, 7)] == [200, 200, 200, 200, 402]
    assert give_back(page, "run-1").json()["was_held"] is True
    assert run(page, "run-6").status == 200
    assert steps.use(page, "test_runs", 900, "the rest of team").status == 200
    assert steps.use(page, "test_runs", 1, "and one").status == 402
    assert claim(page, "storage_bytes", 10 * 1024**3 + 1).status == 402

    # The runs are back after a month, though the year is paid once.
    page.goto("/billing/")
    steps.jump(page, "A month")
    assert steps.use(page, "test_runs", 1000, "second month").status == 200
    assert Payment.objects.filter(account=account, amount_paid__gt=0).count() == 1

    # Canceled: Team to the end of the year, and the page says until when.
    page.goto("/billing/")
    page.get_by_role("link", name="Cancel plan").click()
    page.get_by_role("button", name=re.compile("Cancel my plan on")).click()
    expect(page.locator("main").get_by_text("Everything works until")).to_be_visible()
    assert claim(page, "projects", 1).json()["limit"] == 10

    # The end comes: Free, ten projects kept, none added until it fits.
    end_at_stripe(account)
    page.goto("/billing/")
    expect(page.get_by_role("heading", name="Free", exact=True)).to_be_visible()
    kept = steps.ask(page, "/api/v1/gauges/projects").json()
    assert (kept["used"], kept["limit"], kept["is_over"]) == (10, 1, True)
    assert claim(page, "projects", 1).json()["reason"] == "over_limit"


@pytest.mark.parametrize(
    ("plan", "interval", "cents"),
    [("Team", "Monthly", 9900), ("Enterprise", "Monthly", 49900), ("Enterprise", "Yearly", 480000)],
)
def test_every_plan_is_sold_by_the_month_and_by_the_year(
    page: Page, live_site: LiveSite, plan: str, interval: str, cents: int
):
    steps.come_in(page, "ann@example.com")
    account = steps.open_organization(page, "Ann & Co")

    steps.choose(page, plan, interval=interval)
    steps.pay(page)
    steps.is_theirs(page, plan)

    assert Payment.objects.get(account=account).amount_paid == cents
    rights = steps.ask(page, "/api/v1/entitlements").json()
    is_enterprise = plan == "Enterprise"
    assert rights["switches"]["sso"] is rights["switches"]["audit_logs"] is is_enterprise
    assert rights["allowances"]["test_runs"]["quantity"] == (None if is_enterprise else 1000)
    assert rights["limits"]["members"] == (None if is_enterprise else 20)
    assert rights["limits"]["concurrent_runs"] == (20 if is_enterprise else 5)


def test_a_member_sees_the_plan_and_whom_to_ask_and_nothing_else(
    visitor: BrowserContext, live_site: LiveSite
):
    page = visitor.new_page()
    steps.come_in(page, "olga@example.com", name="Olga")
    account = steps.open_organization(page, "Moss & Sons")
    for n in range(2):
        person = factories.person(email=f"m{n}@example.com", name=f"M{n}")
        factories.MemberFactory(account=account, user=person, role=Member.Role.MEMBER)

    # Three people are all that Free has room for.
    page.goto("/account/members/")
    page.get_by_label("E-mail").fill("fourth@example.com")
    page.get_by_role("button", name="Send invitation").click()
    expect(page.locator("main")).to_contain_text(re.compile("3 .*(member|people)|Free", re.I))
    expect(page.get_by_role("heading", name="Invited")).to_have_count(0)

    page.context.clear_cookies()
    become(page, User.objects.get(email="m0@example.com"))
    page.locator("header details.who summary").click()
    page.get_by_role("button", name="Switch to Moss & Sons").click()
    page.goto("/billing/")
    expect(page.locator("main")).to_contain_text("Only the owner and admins of Moss & Sons")
    page.goto("/pricing/")
    expect(page.locator("#plan-team")).to_contain_text("Ask Olga")
    for path in (
        "/billing/upgrade/",
        "/billing/portal/",
        "/billing/resume/",
        "/billing/cancel/",
        "/billing/end/",
    ):
        answer = post(page, path)
        assert answer.status == 403, path
    assert steps.ask(page, "/api/v1/subscription").json()["subscription"] is None
    assert steps.use(page, "test_runs", 1, "a member may test").status == 200


def claim(page: Page, feature: str, units: int):
    return steps.ask(page, f"/api/v1/gauges/{feature}/claim", {"units": units})


def run(page: Page, key: str):
    return steps.ask(page, "/api/v1/slots/concurrent_runs/take", {"key": key})


def give_back(page: Page, key: str):
    return steps.ask(page, "/api/v1/slots/concurrent_runs/release", {"key": key})


def post(page: Page, path: str):
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    headers = {"X-CSRFToken": cookies["csrftoken"], "Referer": page.url}
    return page.request.post(path, form={"price": "automation_team_month"}, headers=headers, max_redirects=0)


def become(page: Page, person: User) -> None:
    steps.log_in(page, person)
    page.goto("/billing/")


def end_at_stripe(account: Account) -> None:
    """The year runs out: Stripe ends what was canceled, and its letter says so."""
    from billing.stripe import gateway

    [bought] = Subscription.objects.live().filter(account=account)
    gateway.delete(f"/v1/subscriptions/{bought.stripe_subscription_id}")
    steps.eventually(lambda: not Subscription.objects.live().filter(account=account).exists(), seconds=30)
