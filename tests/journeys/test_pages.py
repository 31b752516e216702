"""Every page, light and dark, on a desk and on a phone, with and without JavaScript: accessible, fitting, quiet."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from accounts.models import User
from tests import factories
from tests.billing.test_payment_pages import paid
from tests.stack.site import COMPLAINTS, LiveSite

ANYONE = ["/pricing/", "/login/", "/login/signup/", "/login/password/reset/", "/api/v1/docs"]
MEMBERS = [
    "/usage/",
    "/billing/",
    "/demo/generate/",
    "/demo/mailbox/",
    "/login/email/",
    "/login/2fa/",
    "/account/close/",
    "/notifications/mail/",
    # A button's address, opened as a page.
    "/billing/resume/",
    "/no-such-page/",
]

# Cells of a table whose words stand on those of their neighbour.
OVERLAPS = """() => [...document.querySelectorAll("tbody tr")].flatMap(row => {
    const boxes = [...row.children].map(cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return [cell, range.getBoundingClientRect()];
    }).filter(([cell, box]) => box.width > 1 && box.height > 1);
    return boxes.slice(1).map(([cell, box], number) => {
        const [left, before] = boxes[number];
        const over = Math.min(before.right, box.right) - Math.max(before.left, box.left);
        const same = Math.min(before.bottom, box.bottom) - Math.max(before.top, box.top);
        return over > 1 && same > 1 ? `"${left.innerText}" and "${cell.innerText}" overlap by ${over} px` : "";
    }).filter(Boolean);
})"""


@dataclass
class Look:
    """What was wrong with the pages seen."""

    faults: list[str] = field(default_factory=list)

    def at(self, page: Page, path: str, *, axe: bool) -> None:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(f"Uncaught {error}"))
        page.goto(path)
        self.faults += [f"{path}: {line}" for line in said if any(word in line for word in COMPLAINTS)]
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if overflow > 0:
            self.faults.append(f"{path}: {overflow} px wider than the window")
        for words in page.evaluate(OVERLAPS):
            self.faults.append(f"{path}: {words}")
        if axe:
            found = Axe().run(page)
            self.faults += [
                f"{path}: {violation['id']} {violation['nodes'][0]['html'][:120]}"
                for violation in found.response["violations"]
            ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_every_page_is_accessible_and_fits(browser: Browser, live_site: LiveSite, scheme: str, width: int):
    context = _window(browser, live_site, color_scheme=scheme, width=width)
    look = Look()
    for path in ANYONE:
        look.at(context.new_page(), path, axe=True)
    _sign_in(context, live_site)
    for path in MEMBERS:
        look.at(context.new_page(), path, axe=True)
    context.close()

    assert look.faults == []


@pytest.mark.parametrize("width", [320, 360, 640])
def test_a_payments_day_stands_clear_of_its_number(browser: Browser, live_site: LiveSite, width: int):
    context = _window(browser, live_site, width=width)
    eve = _sign_in(context, live_site)
    for month in (2, 9, 11):
        payment = paid(eve.personal_account, f"TLLYHSE1-00{month:02}")
        payment.created_at = datetime(2026, month, 28, tzinfo=UTC)
        payment.save()
    look = Look()
    look.at(context.new_page(), "/billing/", axe=False)
    context.close()

    assert look.faults == []


def test_every_page_works_without_javascript(browser: Browser, live_site: LiveSite):
    context = _window(browser, live_site, java_script_enabled=False, width=320)
    _sign_in(context, live_site)
    look = Look()
    for path in [*ANYONE, *MEMBERS]:
        page = context.new_page()
        page.goto(path)
        if not page.locator("h1").first.is_visible():
            look.faults.append(f"{path}: no heading")
    context.close()

    assert look.faults == []


def _window(browser: Browser, site: LiveSite, *, width: int, **options: object) -> BrowserContext:
    return browser.new_context(base_url=site.url, viewport={"width": width, "height": 900}, **options)


def _sign_in(context: BrowserContext, site: LiveSite) -> User:
    """With a session made by Django itself: how to sign in is another journey's business."""
    from django.conf import settings
    from django.test import Client

    client = Client()
    eve = factories.person(email="eve@example.com", name="Eve")
    client.force_login(
        eve,
        backend="django.contrib.auth.backends.ModelBackend",
    )
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": site.url}])
    return eve
