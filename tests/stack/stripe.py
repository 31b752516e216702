"""Stripe for the tests: the simulator served over HTTP, its post held back until a test asks for it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import pytest
import stripe
from django.conf import settings
from django.test import Client
from django.utils import timezone

from tests.simulator import truth
from tests.stack import pushed

if TYPE_CHECKING:
    from simulator.core import Simulator

WEBHOOK_PATH = "/stripe/webhook/"
ROUNDS = 40  # a sync may make Stripe write more letters; forty rounds of that is a loop


class Settle(Protocol):
    """Deliver every waiting webhook and let the worker read it, until nothing moves any more."""

    def __call__(
        self, *, now: datetime | None = None, shuffle: Callable[[list[Any]], None] | None = None
    ) -> int:
        """How many letters were delivered. `now` is the worker's wall time; `shuffle` reorders the post."""


@pytest.fixture(autouse=True)
def _the_line_to_stripe_is_well() -> None:
    """What one test's Stripe did not answer is not held against the next one's."""
    from billing.stripe import gateway

    gateway.line.forget()


@pytest.fixture(scope="session", autouse=True)
def _the_sdk_tries_again_soon() -> Iterator[None]:
    """Its pauses before the second and third try are for a Stripe that is far away: half a second and more."""
    usual = stripe.HTTPClient.INITIAL_DELAY
    stripe.HTTPClient.INITIAL_DELAY = 0.01
    yield
    stripe.HTTPClient.INITIAL_DELAY = usual


@pytest.fixture(scope="session")
def stripe_house() -> Iterator["Simulator"]:
    """One simulator for the session, at the address every module already knows. Tests ask for `simulator`."""
    from simulator.core import Simulator
    from simulator.server import serve

    house = Simulator(base_url=settings.STRIPE_API_BASE)
    running = serve(house, host="127.0.0.1", port=urlsplit(settings.STRIPE_API_BASE).port or 0)
    yield house
    running.stop()


@pytest.fixture
def simulator(stripe_house: "Simulator") -> Iterator["Simulator"]:
    """An empty Stripe. What happens in it stays there as held post until `settle()` delivers it."""
    stripe_house.reset()
    stripe_house.deliveries.set_hold(True)
    stripe_house.deliveries.add_endpoint(settings.BASE_URL + WEBHOOK_PATH, settings.STRIPE_WEBHOOK_SECRETS[0])
    with truth.watched():
        yield stripe_house
    stripe_house.deliveries.set_hold(True)
    stripe_house.deliveries.forget()


@pytest.fixture
def shop(simulator: "Simulator", db: None) -> "Simulator":
    """A Stripe that knows the catalog, as the command that production uses leaves it."""
    pushed.push_catalog(simulator)
    simulator.deliveries.forget()
    return simulator


@pytest.fixture
def settle(simulator: "Simulator", db: None) -> Settle:
    from billing.models import WebhookEvent
    from billing.stripe import inbox

    post_office = Client()

    def settle(*, now: datetime | None = None, shuffle: Callable[[list[Any]], None] | None = None) -> int:
        delivered = 0
        for _ in range(ROUNDS):
            letters = simulator.deliveries.take()
            if shuffle:
                shuffle(letters)
            for letter in letters:
                answer = post_office.post(
                    WEBHOOK_PATH, letter.body(), content_type="application/json", headers=letter.headers()
                )
                assert answer.status_code == 200, (
                    f"{letter.event['type']}: {answer.status_code} {answer.content!r}"
                )
            delivered += len(letters)
            moment = now or timezone.now()
            inbox.drain(now=moment)
            if not letters and not WebhookEvent.objects.due(moment).exists():
                return delivered
        raise AssertionError(f"After {ROUNDS} rounds Stripe still sends letters: this never comes to rest.")

    return settle
