"""A live site with everything behind it running, and a browser to walk through it."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.utils import timezone

from tests import chromium
from tests.stack.stripe import WEBHOOK_PATH

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from pytest_django.live_server_helper import LiveServer

    from simulator.core import Simulator

PICTURES = Path("var") / "test-pictures"
# Chromium says these on the console; a page that causes one is wrong even when it looks right.
COMPLAINTS = ("Content Security Policy", "Content-Security-Policy", "Uncaught")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who walks through the live site with the real browser does so in the journeys' pass, once."""
    for item in items:
        if {"live_site", "browser"} <= set(getattr(item, "fixturenames", ())):
            item.add_marker("browser")


@dataclass(frozen=True)
class LiveSite:
    """A site that a browser can open, whose Stripe posts by itself and whose worker reads by itself."""

    url: str
    simulator: "Simulator"


@pytest.fixture
def live_site(
    transactional_db: None, live_server: "LiveServer", shop: "Simulator", settings: Any
) -> Iterator[LiveSite]:
    """The whole house running: web in threads, Stripe delivering over HTTP, a worker reading the inbox."""
    settings.BASE_URL = live_server.url
    settings.CSRF_TRUSTED_ORIGINS = [live_server.url]
    post = shop.deliveries
    post.add_endpoint(live_server.url + WEBHOOK_PATH, settings.STRIPE_WEBHOOK_SECRETS[0])
    post.set_hold(False)
    post.start()
    worker = _Worker()
    worker.start()
    yield LiveSite(live_server.url, shop)
    post.stop()
    worker.stop()


class _Worker(threading.Thread):
    """Reads Stripe's letters as they come in, like the Celery worker behind a broker that always nudges."""

    def __init__(self) -> None:
        super().__init__(name="inbox-worker", daemon=True)
        self._ended = threading.Event()

    def run(self) -> None:
        from billing.stripe import inbox

        try:
            while not self._ended.wait(0.1):
                inbox.drain(now=timezone.now())
        finally:
            connection.close()

    def stop(self) -> None:
        self._ended.set()
        self.join(30)
        assert not self.is_alive(), "The worker is still busy 30 seconds after the test."


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One headless Chromium for the session."""
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, and Django would otherwise refuse the ORM beside it.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium.executable(), args=chromium.arguments(), headless=True
        )
        yield started
        started.close()
    if before is None:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def visitor(browser: "Browser", live_site: LiveSite) -> Iterator["BrowserContext"]:
    """A fresh browser profile at 1280 px; `visitor.new_page()` is another tab of it."""
    context = browser.new_context(
        base_url=live_site.url, viewport={"width": 1280, "height": 900}, locale="en-US"
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(visitor: "BrowserContext", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A tab of the live site. The test fails when a page breaks the security policy or throws an error."""
    page = visitor.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: (
            complaints.append(f"{page.url}: {said.text}")
            if any(word in said.text for word in COMPLAINTS)
            else None
        ),
    )
    yield page
    if getattr(request.node, "failed", False):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=PICTURES / f"{request.node.name}.png", full_page=True)
    assert not complaints, "\n".join(complaints)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True  # type: ignore[attr-defined]
    return report
