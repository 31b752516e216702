"""The pages about being told: accessible, fitting a phone, light and dark, and working without JavaScript."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts import notifications
from accounts.models import Account, Destination
from accounts.notifications import destinations, outbox
from tests import factories
from tests.accounts.test_notifications import QUOTA, RECEIPT
from tests.servers import free_port
from tests.stack.site import LiveSite

NOBODY_LISTENS = f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def told(live_site: LiveSite) -> Account:
    """An organization that was told things, two of them to places where nobody listens."""
    now = timezone.now()
    account = factories.organization(
        owner=factories.person(email="alice@example.com", name="Alice"), name="Okafor Labs"
    )
    owner = account.members.get()
    for channel, path in (("webhook", "/hooks/tally-0a1b2c3d"), ("slack", "/services/T000/B000/xyz")):
        destinations.add(
            account=account,
            channel=channel,
            url=NOBODY_LISTENS + path,
            categories=["billing", "usage"],
            by=owner,
            now=now,
        )
    long = "https://invoice.example.com/i/acct_1/test_YWNjdF8xLF9VQWVhbGJhbGFsYWxhbGFsYWw0200"
    owed = {**RECEIPT, "url": long, "access_until": now.isoformat(), "retry_at": now.isoformat()}
    with transaction.atomic():
        for kind, context in (("receipt", RECEIPT), ("payment_failed", owed), ("quota", QUOTA)):
            notifications.notify(account=account, kind=kind, key=kind, now=now, context=context)
    outbox.deliver_due(now=now)
    return account


@pytest.fixture
def window(browser: Browser, live_site: LiveSite, told: Account) -> Iterator["Window"]:
    opened = Window(browser, live_site, told)
    yield opened
    opened.close()


class Window:
    """Browsers in which Alice is signed in and acts for Okafor Labs."""

    def __init__(self, browser: Browser, site: LiveSite, account: Account) -> None:
        self.browser, self.site = browser, site
        self.contexts: list[BrowserContext] = []
        client = Client()
        client.force_login(account.members.get().user, backend="django.contrib.auth.backends.ModelBackend")
        client.post("/account/switch/", {"account": str(account.pk)})
        self.cookie = client.cookies[settings.SESSION_COOKIE_NAME].value

    def open(self, *, width: int = 1280, **options: object) -> BrowserContext:
        context = self.browser.new_context(
            base_url=self.site.url, viewport={"width": width, "height": 900}, **options
        )
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": self.cookie, "url": self.site.url}]
        )
        self.contexts.append(context)
        return context

    def close(self) -> None:
        for context in self.contexts:
            context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_every_page_about_being_told_is_accessible_and_fits(window: Window, scheme: str, width: int) -> None:
    page = window.open(width=width, color_scheme=scheme).new_page()
    webhook = Destination.objects.get(channel="webhook")
    faults: list[str] = []

    for path in (
        "/notifications/",
        "/notifications/mail/",
        "/notifications/elsewhere/",
        f"/notifications/elsewhere/{webhook.pk}/",
        "/usage/alerts/",
    ):
        page.goto(path)
        faults += _faults(page, path)

    assert faults == []


def test_everything_works_without_javascript_on_a_phone(window: Window) -> None:
    page = window.open(width=320, java_script_enabled=False).new_page()

    page.goto("/notifications/")
    expect(page.get_by_role("link", name="3 new")).to_be_visible()
    page.get_by_role("button", name=re.compile("Mark as read.*80% of generations used")).click()
    expect(page.get_by_role("link", name="2 new")).to_be_visible()
    page.get_by_role("button", name="Mark all 2 as read").click()
    expect(page.get_by_text("New", exact=True)).to_have_count(0)

    page.goto("/notifications/mail/")
    page.get_by_label("An allowance is back").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("An allowance is back")).not_to_be_checked()
    expect(page.get_by_label("A payment failed")).to_be_disabled()

    page.goto("/notifications/elsewhere/")
    page.get_by_label("Where").select_option("webhook")
    page.get_by_label("Address").fill(NOBODY_LISTENS + "/another-hook-of-ours")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("code.key")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have kept it").click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("Switched off by Alice.")).to_be_visible()

    page.goto("/usage/alerts/")
    page.get_by_label("Percent of an allowance").fill("90, 100")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("From now on you are told at these.")).to_be_visible()


def _faults(page: Page, path: str) -> list[str]:
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = [f"{path}: {over} px wider than the window"] if over > 0 else []
    return found + [
        f"{path}: {violation['id']} {violation['nodes'][0]['html'][:120]}"
        for violation in Axe().run(page).response["violations"]
    ]
