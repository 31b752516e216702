"""The hosted pages in a real browser: readable by all, on a phone, in the dark, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from simulator.core import Simulator
from simulator.server import Running

pytestmark = pytest.mark.browser


@pytest.fixture
def running(sim: Simulator, house: Running) -> Running:
    return house


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 320, "height": 700}, java_script_enabled=True)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def _checkout(api: stripe.StripeClient, back: str, **more: Any) -> stripe.checkout.Session:
    price = api.v1.prices.create(
        {
            "product_data": {"name": "Pro"},
            "unit_amount": 2900,
            "currency": "usd",
            "recurring": {"interval": "month"},
        }
    )
    given: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": f"{back}/?paid={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{back}/",
        "allow_promotion_codes": True,
    }
    return api.v1.checkout.sessions.create(given | more)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_narrow_phone(
    running: Running, api: stripe.StripeClient, page: Page, scheme: Any, width: int
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 700})
    session = _checkout(api, running.url)
    page.goto(session.url or "")
    _is_well(page)
    page.get_by_role("button", name="Pay $29.00").click()
    _is_well(page)
    page.get_by_label("E-mail").fill("kim@example.com")
    page.get_by_label("Card number").fill("4000 0025 0000 3155")
    page.get_by_label("Expiry (MM / YY)").fill("12 / 50")
    page.get_by_label("Security code (CVC)").fill("123")
    page.get_by_role("button", name="Pay $29.00").click()
    _is_well(page)
    page.get_by_role("button", name="Complete").click()
    page.wait_for_url("**/?paid=*")
    _is_well(page)
    paid = api.v1.checkout.sessions.retrieve(session.id)
    link = api.v1.billing_portal.sessions.create({"customer": str(paid.customer), "return_url": running.url})
    page.goto(link.url)
    _is_well(page)
    page.get_by_role("link", name="Change card").click()
    _is_well(page)
    page.go_back()
    page.get_by_role("link", name="Cancel subscription").click()
    _is_well(page)
    page.get_by_role("button", name="Cancel subscription").click()
    _is_well(page)
    page.goto(f"{running.url}/i/{paid.invoice}")
    _is_well(page)
    charge = api.v1.charges.list({"customer": str(paid.customer)}).data[0]
    page.goto(str(charge.receipt_url))
    _is_well(page)


def test_paying_takes_nothing_but_a_keyboard_and_a_refusal_takes_the_focus(
    running: Running, api: stripe.StripeClient, page: Page
) -> None:
    page.goto(_checkout(api, running.url, customer_email="kim@example.com").url or "")

    page.get_by_label("Card number").focus()
    for typed in ("4000000000000002", "12/50", "123", "Kim"):
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
    page.get_by_role("button", name="Pay $29.00").focus()
    page.keyboard.press("Enter")

    refused = page.get_by_role("alert")
    assert "Your card was declined." in refused.inner_text()
    assert refused.evaluate("alert => alert === document.activeElement")


def _is_well(page: Page) -> None:
    page.wait_for_load_state()
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} px wider than the window"
    found = [
        f"{page.url}: {it['id']} {it['nodes'][0]['html'][:120]}"
        for it in Axe().run(page).response["violations"]
    ]
    assert found == []
