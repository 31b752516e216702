"""A small SaaS that sells through the simulator: what tests would otherwise say again and again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import stripe

from simulator.core import Simulator
from simulator.hosted import checkout

VISA = "4242424242424242"
DAY = 86_400
# A month's last day, so that every test meets the clamping of month ends.
NEW_YEAR = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())


def card(number: str = VISA) -> dict[str, Any]:
    return {"number": number, "exp_month": 12, "exp_year": 34, "cvc": "123"}


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


class Shop:
    def __init__(self, sim: Simulator, api: stripe.StripeClient) -> None:
        self.sim = sim
        self.api = api
        self.v1 = api.v1
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": NEW_YEAR}).id

    def price(self, amount: int = 2900, *, every: str = "month", name: str = "Pro", **more: Any) -> str:
        product = self.v1.products.create({"name": name})
        terms: dict[str, Any] = {
            "product": product.id,
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": every},
        }
        return self.v1.prices.create(terms | more).id  # type: ignore[arg-type]

    def metered(self, cents: str = "50", event_name: str = "tokens") -> str:
        meter = self.v1.billing.meters.create(
            {"display_name": "Tokens", "event_name": event_name, "default_aggregation": {"formula": "sum"}}
        )
        recurring = {"interval": "month", "usage_type": "metered", "meter": meter.id}
        product = self.v1.products.create({"name": "Tokens"})
        return self.v1.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount_decimal": cents, "recurring": recurring}  # type: ignore[typeddict-item]
        ).id

    def customer(self, *, pays_with: str | None = None, on_clock: bool = True, **more: Any) -> str:
        given: dict[str, Any] = {"email": "kim@example.com", "name": "Kim"}
        if on_clock:
            given["test_clock"] = self.clock
        customer = self.v1.customers.create(given | more).id  # type: ignore[arg-type]
        if pays_with:
            self.give_card(customer, pays_with)
        return customer

    def give_card(self, customer: str, token: str) -> str:
        method = self.v1.payment_methods.attach(token, {"customer": customer}).id
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
        return method

    def session(self, *prices: str, customer: str, quantity: int = 1, **more: Any) -> str:
        given: dict[str, Any] = {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": price, "quantity": quantity} for price in prices],
            "success_url": "https://shop.example/welcome?session={CHECKOUT_SESSION_ID}",
        }
        return self.v1.checkout.sessions.create(given | more).id  # type: ignore[arg-type]

    def pay(self, session: str, number: str = VISA, **more: Any) -> checkout.Outcome:
        return checkout.pay(self.sim, session, card=card(number), **more)

    def subscribe(self, *prices: str, customer: str, **more: Any) -> stripe.Subscription:
        items = [{"price": price} for price in prices]
        return self.v1.subscriptions.create({"customer": customer, "items": items, **more})  # type: ignore[typeddict-item]

    def subscription(self, name: str) -> stripe.Subscription:
        return self.v1.subscriptions.retrieve(name, {"expand": ["latest_invoice"]})

    def invoices(self, customer: str) -> list[stripe.Invoice]:
        """Oldest first."""
        return list(reversed(self.v1.invoices.list({"customer": customer, "limit": 100}).data))

    def advance(self, *, days: int = 0, hours: int = 0, to: int | None = None) -> None:
        clock = self.v1.test_helpers.test_clocks.retrieve(self.clock)
        target = to if to is not None else clock.frozen_time + days * DAY + hours * 3600
        self.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": target})

    def happened(self) -> list[str]:
        """The types of all events, oldest first."""
        return [event["type"] for event in self.sim.store.all("event")]
