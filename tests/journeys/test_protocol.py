"""Protocol Guide: medics on Free or Pro with seven days of trial, departments by the seat, and disputes."""

import re

import pytest
from playwright.sync_api import Page, expect

from billing.models import Customer, Payment, Subscription
from tests.billing import purchases
from tests.journeys import steps
from tests.stack.site import LiveSite


@pytest.fixture(autouse=True)
def _protocol(settings):
    settings.BILLING_CATALOG = "protocol"
    settings.STRIPE_TEST_CLOCKS = True


def test_a_medic_on_free_tries_pro_and_stays(page: Page, live_site: LiveSite):
    account = steps.come_in(page, "kim@example.com")

    # Five queries a day, back at midnight; Haiku only; one county, five bookmarks, no state.
    assert steps.use(page, "queries", 5, "monday").status == 200
    refused = steps.use(page, "queries", 1, "sixth")
    assert (refused.status, refused.json()["code"]) == (402, "allowance_exhausted")
    rights = steps.ask(page, "/api/v1/entitlements").json()
    assert {name for name, has in rights["switches"].items() if has} == {"haiku"}
    assert (rights["limits"]["counties"], rights["limits"]["bookmarks"]) == (1, 5)
    assert steps.ask(page, "/api/v1/gauges/counties/claim", {"units": 1, "key": "county:ca-la"}).status == 200
    assert steps.ask(page, "/api/v1/gauges/counties/claim", {"units": 1, "key": "county:ca-sd"}).status == 402
    page.goto("/billing/")
    # One page for both, departments on their own.
    page.goto("/pricing/")
    expect(page.locator("#plan-enterprise").get_by_role("link", name="Talk to us")).to_be_visible()
    expect(page.locator("#plan-starter")).to_contain_text("For organizations.")
    expect(page.locator("#plan-pro")).to_contain_text("7 days")

    steps.choose(page, "Pro")
    expect(page.get_by_text("7 days free")).to_be_visible()
    steps.pay(page, steps.DISPUTED_LATER_CARD)
    steps.is_theirs(page, "Pro")
    assert steps.use(page, "queries", 1000, "no limit").status == 200
    rights = steps.ask(page, "/api/v1/entitlements").json()
    assert {"sonnet", "offline_access", "advanced_search", "sync_history", "priority_support"} <= {
        name for name, has in rights["switches"].items() if has
    }
    assert (rights["limits"]["states"], rights["limits"]["agencies"], rights["limits"]["counties"]) == (
        1,
        10,
        None,
    )
    assert not rights["switches"]["opus"]
    page.goto("/billing/")
    expect(page.get_by_text("Your trial runs until")).to_be_visible()
    steps.jump(page, "A week")
    steps.jump(page, "A day")
    assert Payment.objects.get(account=account, amount_paid__gt=0).amount_paid == 999

    # The bank asks for the money back: noted, and the plan stays. The dispute is lost: the account is on hold.
    steps.eventually(lambda: Customer.objects.get(account=account).dispute_state == "open", seconds=30)
    assert steps.use(page, "queries", 1, "while the bank decides").status == 200
    stripe = purchases.at_stripe()
    stripe.v1.disputes.close(stripe.v1.disputes.list().data[0].id)
    steps.eventually(lambda: Customer.objects.get(account=account).dispute_state == "lost", seconds=30)
    page.goto("/billing/")
    expect(page.get_by_text("This account is on hold.")).to_be_visible()
    assert steps.use(page, "queries", 1, "blocked").status == 403


@pytest.mark.parametrize(
    ("plan", "interval", "seats", "cents"),
    [
        ("Department Starter", "Monthly", 5, 5 * 799),
        ("Department Starter", "Yearly", 19, 19 * 9588),
        ("Department Professional", "Monthly", 99, 99 * 599),
        ("Department Professional", "Yearly", 20, 20 * 7188),
    ],
)
def test_a_department_buys_seats(
    page: Page, live_site: LiveSite, plan: str, interval: str, seats: int, cents: int
):
    steps.come_in(page, "chief@example.com")
    account = steps.open_organization(page, "Station 7")

    steps.choose(page, plan, interval=interval, seats=seats)
    expect(page.get_by_text("7 days free")).to_be_visible()
    steps.pay(page)
    steps.is_theirs(page, plan)

    bought = Subscription.objects.live().get(account=account)
    assert (bought.quantity, bought.status, bought.next_charge_amount) == (seats, "trialing", cents)
    rights = steps.ask(page, "/api/v1/entitlements").json()
    assert rights["seats"] == seats
    assert rights["limits"]["protocols"] == (50 if plan == "Department Starter" else 200)
    assert rights["switches"]["custom_branding"] is (plan == "Department Professional")
    assert rights["switches"]["sso"] is rights["switches"]["api_access"] is False


def test_nineteen_are_starter_twenty_are_professional_and_the_page_leads_from_one_to_the_other(
    page: Page, live_site: LiveSite
):
    steps.come_in(page, "chief@example.com")
    account = steps.open_organization(page, "Station 7")
    # The browser holds to the range of the step; so does the server.
    for price, seats in (
        ("protocol_starter_month", 20),
        ("protocol_starter_month", 4),
        ("protocol_professional_month", 100),
    ):
        page.goto("/pricing/")
        cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
        answer = page.request.post(
            "/billing/upgrade/",
            form={"price": price, "quantity": str(seats)},
            headers={"X-CSRFToken": cookies["csrftoken"], "Referer": page.url},
        )
        assert "seats" in answer.text() and not Subscription.objects.filter(account=account).exists()

    steps.choose(page, "Department Starter", interval="Monthly", seats=19)
    steps.pay(page)
    steps.is_theirs(page, "Department Starter")
    page.goto("/billing/seats/")
    expect(page.locator("main")).to_contain_text("1 of 19 in use")
    page.get_by_label("Seats").fill("20")
    page.get_by_role("button", name="See what it costs").click()
    expect(page.get_by_role("heading", name=re.compile("Department Professional"))).to_be_visible()
    page.get_by_role("button", name=re.compile("^(Pay .* and switch|Switch )")).click()
    steps.eventually(
        lambda: Subscription.objects.live().get(account=account).plan_key == "professional", seconds=30
    )
    assert Subscription.objects.live().get(account=account).quantity == 20


def test_the_year_of_pro_is_sold_with_its_saving_worked_out(page: Page, live_site: LiveSite):
    account = steps.come_in(page, "ann@example.com")
    page.goto("/pricing/")
    page.get_by_role("radio", name=re.compile("Yearly")).check()
    # $9.99 × 12 is $119.88, and $89 saves $30.88, which is 25.76 %: never said to be more than it is.
    expect(page.locator("#plan-pro")).to_contain_text("$30.88 a year (25%)")

    steps.choose(page, "Pro", interval="Yearly")
    steps.pay(page)
    steps.is_theirs(page, "Pro")

    bought = Subscription.objects.live().get(account=account)
    assert (bought.price_lookup_key, bought.next_charge_amount) == ("protocol_pro_year", 8900)
