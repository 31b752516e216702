"""What a customer does, as one line each: sign up, pay, wait a month."""

import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core import mail
from django.test import Client
from playwright.sync_api import Page, expect

from accounts.models import Account, User
from tests import factories

PASSWORD = "correct horse battery staple"
GOOD_CARD = "4242 4242 4242 4242"
DECLINED_CARD = "4000 0000 0000 0002"
THREE_D_SECURE_CARD = "4000 0025 0000 3155"
# Can be saved, and declines every charge: how a renewal fails.
FAILS_LATER_CARD = "4000 0000 0000 0341"
# Is charged, and the charge is disputed right after.
DISPUTED_LATER_CARD = "4000 0000 0000 0259"


def sign_up(page: Page, email: str, *, name: str = "Kim") -> None:
    """From the header's button to the first page of a verified account."""
    page.goto("/")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label(re.compile("e-?mail", re.I)).first.fill(email)
    page.locator("input[name=password1]").fill(PASSWORD)
    page.locator("main form button.go").click()
    page.locator("input[name=code]").fill(code_mailed_to(email))
    page.locator("main form button.go").click()
    expect(page.get_by_role("link", name="Billing", exact=True).first).to_be_visible()


def come_in(page: Page, email: str, *, name: str = "Kim") -> Account:
    """Somebody who signed up before, logged in: how to sign up is another journey's business. Their own account."""
    person = factories.person(email=email, name=name)
    log_in(page, person)
    page.goto("/billing/")
    return Account.objects.get(person=person)


def log_in(page: Page, person: User) -> None:
    """With a session made by Django itself."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": settings.BASE_URL}]
    )


def open_organization(page: Page, name: str) -> Account:
    """From the account menu's link to an organization of one's own, which the pages are about from then on."""
    page.goto("/organizations/new/")
    page.get_by_label("Name of the organization").fill(name)
    page.locator("main form button.go").click()
    expect(page.locator("header").get_by_text(name).first).to_be_attached()
    return Account.objects.get(name=name)


def code_mailed_to(email: str) -> str:
    """The verification code in the newest mail to that address."""
    letter = eventually(lambda: next((m for m in reversed(mail.outbox) if email in m.to), None))
    found = re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", letter.body, re.M)
    assert found, letter.body
    return found[1]


def choose(page: Page, plan: str, *, interval: str | None = None, seats: int | None = None) -> None:
    """On the pricing page, press the button of a plan."""
    page.goto("/pricing/")
    if interval:
        page.get_by_role("radio", name=re.compile(interval, re.I)).check()
    card = (
        page.locator("article, section, li")
        .filter(has=page.get_by_role("heading", name=plan, exact=True))
        .last
    )
    if seats is not None:
        card.locator("input[name=quantity]:visible").fill(str(seats))
    card.locator("button:visible").click()


def pay(page: Page, card: str = GOOD_CARD) -> None:
    """Fill in the hosted checkout and press its button."""
    expect(page.get_by_role("heading", name=re.compile("Subscribe to"))).to_be_visible()
    another = page.get_by_label("Another card")
    if another.count():
        another.check()
    fill_card(page, card)
    page.locator("button.go", has_text=re.compile("Pay|Start trial|Subscribe")).click()


def fill_card(page: Page, card: str) -> None:
    page.get_by_label("Card number").fill(card)
    page.get_by_label("Expiry (MM / YY)").fill("12 / 50")
    page.get_by_label("Security code (CVC)").fill("123")


def change_card(page: Page, card: str) -> None:
    """From billing settings through Stripe's portal and back."""
    page.goto("/billing/")
    page.get_by_role("button", name=re.compile("Change card|Add a card|Update card")).last.click()
    fill_card(page, card)
    page.get_by_role("button", name="Save card").click()
    if "/billing/" not in page.url:
        page.get_by_role("link", name="Return to the shop").click()
    expect(page.get_by_role("heading", name="Billing")).to_be_visible()


def is_theirs(page: Page, plan: str) -> None:
    """The page after the till says so once it is true."""
    expect(page.get_by_role("heading", name=f"{plan} is yours")).to_be_visible(timeout=30_000)


def switch_to(page: Page, price: str) -> None:
    """From plan to plan by our own page: look at the receipt, press its button."""
    page.goto(f"/billing/change/?price={price}")
    page.get_by_role("button", name=re.compile("^(Pay .* and switch|Switch )")).click()
    expect(page.get_by_role("heading", name=re.compile(" it is$| from "))).to_be_visible(timeout=30_000)


def make_key(page: Page, name: str) -> str:
    """An API key, as its one page shows it."""
    page.goto("/account/keys/")
    page.get_by_label("What is it for?").fill(name)
    for box in page.locator("#id_scopes input").all():
        box.check()
    page.get_by_role("button", name="Make key").click()
    return page.locator("#key").inner_text()


def with_key(page: Page, key: str, path: str, data: dict[str, Any] | None = None) -> Any:
    """What a program of the customer's does: GET, or POST with `data`."""
    headers = {"Authorization": f"Bearer {key}"}
    if data is None:
        return page.request.get(path, headers=headers)
    return page.request.post(path, headers=headers, data=data)


def ask(page: Page, path: str, data: dict[str, Any] | None = None) -> Any:
    """The API as the signed-in person, with the page's own CSRF token."""
    if data is None:
        return page.request.get(path)
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    headers = {"X-CSRFToken": cookies["csrftoken"], "Referer": page.url}
    return page.request.post(path, data=data, headers=headers)


def jump(page: Page, step: str) -> None:
    """Press a button of the demo's clock: "A day", "A week" or "A month"."""
    page.get_by_role("button", name=step, exact=True).click()
    expect(page.get_by_text("It is now")).to_be_visible(timeout=60_000)


def use(page: Page, feature: str, units: int, key: str) -> Any:
    """Consume through the API as the signed-in person."""
    return ask(page, "/api/v1/usage", {"feature": feature, "units": units, "idempotency_key": key})


def eventually(look: Callable[[], Any], *, seconds: float = 15.0) -> Any:
    """Look again until there is something, or fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"Nothing came of it within {seconds} s."
        time.sleep(0.05)
