"""The Stripe account a scenario talks to, the simulator or the real test mode: patience, shapes, tidying up."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import stripe

from simulator import sdk
from tests.simulator.truth import BEYOND_THE_SDK

DAY = 86_400


@dataclass(frozen=True)
class Address:
    """Where an account is, and the key to it."""

    key: str
    base: str
    is_live: bool  # Stripe's own test mode: slower, shared with others, and nothing may be left behind

    @property
    def patience(self) -> float:
        """Seconds until what was promised must have happened."""
        return 180.0 if self.is_live else 10.0

    @property
    def pause(self) -> float:
        """Seconds between two looks."""
        return 2.0 if self.is_live else 0.02


class Witness(stripe.RequestsClient):
    """The SDK's own network client, which also holds every answer against the SDK's types."""

    def __init__(self, address: Address) -> None:
        super().__init__(timeout=80)
        self.address = address
        self.complaints: set[str] = set()

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        """Ask, and look at what comes back."""
        answer = super().request(method, url, headers, post_data)
        if answer[1] == 200:
            for problem in sdk.problems(json.loads(answer[0]), extras=BEYOND_THE_SDK):
                # Stripe may send more than the SDK declares; a stand-in may not.
                if not (self.address.is_live and problem.endswith("undeclared")):
                    self.complaints.add(f"{method.upper()} {urlsplit(url).path}: {problem}")
        return answer


@dataclass
class Counterpart:
    """One scenario's view of an account. All it makes carries `mark`, so that nobody else's things count."""

    address: Address
    witness: Witness
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    _undo: list[Callable[[], Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = stripe.StripeClient(
            self.address.key,
            base_addresses={"api": self.address.base},
            http_client=self.witness,
            max_network_retries=2,
        )
        self.v1 = self.api.v1

    def until(self, fact: Callable[[], Any]) -> Any:
        """What `fact` answers as soon as it is true; fails when it does not become so in time."""
        deadline = time.monotonic() + self.address.patience
        while not (found := fact()):
            assert time.monotonic() < deadline, f"it was not so within {self.address.patience:.0f} seconds"
            time.sleep(self.address.pause)
        return found

    def later(self, undo: Callable[[], Any]) -> None:
        """Do this when the scenario is over, the last first."""
        self._undo.append(undo)

    def tidy(self) -> None:
        """Take away what the scenario made; what is gone already is fine."""
        while self._undo:
            with contextlib.suppress(stripe.InvalidRequestError):
                self._undo.pop()()

    # What most scenarios begin with:

    def email(self, who: str = "kim") -> str:
        return f"{who}+{self.mark}@example.com"

    def customer(self, *, clock: str | None = None, pays_with: str | None = None, **more: Any) -> str:
        """A customer with a card, who goes when the clock goes, or by himself."""
        given: dict[str, Any] = {"name": "Kim", "email": self.email(), "metadata": {"contract": self.mark}}
        if clock:
            given["test_clock"] = clock
        made = self.v1.customers.create(given | more)
        if not clock:
            self.later(lambda: self.v1.customers.delete(made.id))
        if pays_with:
            self.card(made.id, pays_with)
        return made.id

    def card(self, customer: str, token: str) -> str:
        """A card of this kind, which pays for everything from now on."""
        method = self.v1.payment_methods.attach(token, {"customer": customer}).id
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
        return method

    def product(self, name: str = "Pro") -> str:
        made = self.v1.products.create({"name": f"{name} {self.mark}", "metadata": {"contract": self.mark}})
        # A product that had prices can be put away, not deleted.
        self.later(lambda: self.v1.products.update(made.id, {"active": False}))
        return made.id

    def price(self, amount: int = 2900, *, product: str | None = None, **more: Any) -> str:
        given: dict[str, Any] = {
            "product": product or self.product(),
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": "month"},
        }
        made = self.v1.prices.create(given | more)
        self.later(lambda: self.v1.prices.update(made.id, {"active": False}))
        return made.id

    def clock(self) -> str:
        """A test clock at this minute; deleting it deletes its customers and what they bought."""
        now = int(time.time())
        made = self.v1.test_helpers.test_clocks.create({"frozen_time": now, "name": f"contract {self.mark}"})
        self.later(lambda: self.v1.test_helpers.test_clocks.delete(made.id))
        return made.id

    def now(self, clock: str) -> int:
        return self.v1.test_helpers.test_clocks.retrieve(clock).frozen_time

    def advance(self, clock: str, to: int) -> None:
        """Move a test clock, and wait until all that falls due has been done."""
        self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
        self.until(lambda: self.v1.test_helpers.test_clocks.retrieve(clock).status == "ready")

    def subscribe(self, customer: str, price: str, **more: Any) -> stripe.Subscription:
        given: dict[str, Any] = {"customer": customer, "items": [{"price": price}]}
        return self.v1.subscriptions.create(given | more)

    def subscription(self, name: str) -> stripe.Subscription:
        return self.v1.subscriptions.retrieve(name, {"expand": ["latest_invoice"]})

    def invoices(self, customer: str) -> list[stripe.Invoice]:
        """Oldest first."""
        return list(reversed(self.v1.invoices.list({"customer": customer, "limit": 100}).data))

    def told(self, customer: str, *types: str) -> list[stripe.Event]:
        """The events of these types about a customer and what is his, newest first."""
        page = self.v1.events.list({"types": list(types), "limit": 100})
        return [event for event in page.data if customer in _about(event.data.object)]


def _about(obj: Any) -> set[str | None]:
    found = obj if isinstance(obj, dict) else obj.to_dict()
    return {found.get("id"), found.get("customer")}
