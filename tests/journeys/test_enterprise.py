"""A contract in the browser: asked for, offered by staff, read on a telephone, accepted, and on the account's page."""

from datetime import timedelta
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from billing import clock
from billing.deals import offers
from billing.models import Enquiry, Subscription
from tests import factories
from tests.journeys import steps
from tests.stack.site import LiveSite


def test_a_company_asks_gets_an_offer_and_accepts_it_on_a_telephone(page: Page, live_site: LiveSite):
    page.goto("/pricing/")
    page.locator("#plan-enterprise").get_by_role("link", name="Talk to us").click()
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_label("Your e-mail address").fill("grace@navy.example")
    page.get_by_label("For how many people?").fill("40")
    page.get_by_label("What do you need?").fill("We compile all day.")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", name="We have your message")).to_be_visible()

    grace = factories.person(email="grace@navy.example", name="Grace Hopper")
    navy = factories.organization(owner=grace, name="Navy")
    offer = offers.make(
        account=navy,
        enquiry=Enquiry.objects.get(),
        plan_key="enterprise",
        interval="year",
        seats=40,
        amount=12_000,
        recipient=grace.email,
        open_until=clock.now(navy) + timedelta(days=14),
        overrides={"projects": 25},
        terms="Support by telephone, every day.",
        periods=2,
        now=clock.now(navy),
    )

    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(urlsplit(offers.link(offer)).path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_label("Your e-mail address").fill("grace@navy.example")
    page.get_by_label("I may agree to this").check()
    page.get_by_role("button", name="Accept for $4,800.00 a year").click()
    expect(page.get_by_role("link", name="See and pay the invoice")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320

    assert Subscription.objects.live().get().offer == offer
    assert Enquiry.objects.get().state == "won"
    steps.log_in(page, grace)
    page.goto("/billing/details/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
