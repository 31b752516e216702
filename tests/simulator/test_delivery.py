"""Webhooks leave the simulator as they leave Stripe: signed, retried, and sometimes lost, doubled or late."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe

from simulator.core import Simulator
from simulator.delivery import Faults
from simulator.in_process import InProcess
from simulator.webhook import signature

SECRET = "whsec_test_secret"
KEY = "sk_test_" + "7" * 24


class Shop:
    """A shop's webhook endpoint: it opens every letter with the SDK and can be told to refuse some."""

    def __init__(self) -> None:
        self.events: list[stripe.Event] = []
        self.bodies: list[bytes] = []  # of all that was accepted, thin ones too
        self.signatures: list[str] = []
        self.answers: list[int] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                seal = self.headers["Stripe-Signature"]
                shop.signatures.append(seal)
                status = shop.answers.pop(0) if shop.answers else 200
                if status == 200:
                    stripe.WebhookSignature.verify_header(body.decode(), seal, SECRET, 300)
                    if json.loads(body)["object"] == "event":
                        shop.events.append(stripe.Webhook.construct_event(body, seal, SECRET))
                    shop.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/stripe/webhook/"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def types(self) -> list[str]:
        return [event.type for event in self.events]


@pytest.fixture
def shop() -> Iterator[Shop]:
    found = Shop()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def simulator(shop: Shop) -> Iterator[Simulator]:
    found = Simulator()
    found.deliveries.retry_after = (0.05,)
    found.deliveries.add_endpoint(shop.url, SECRET)
    yield found
    found.deliveries.stop()


def client(simulator: Simulator) -> stripe.StripeClient:
    return stripe.StripeClient(KEY, http_client=InProcess(simulator))


def until(fact: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_new_customer_is_told_to_the_shop_in_a_letter_the_sdk_opens(
    simulator: Simulator, shop: Shop
) -> None:
    simulator.deliveries.start()

    made = client(simulator).v1.customers.create({"name": "Ada"})

    until(lambda: shop.events)
    (event,) = shop.events
    assert (event.type, event.data.object["id"]) == ("customer.created", made.id)
    assert event.api_version == stripe.api_version


def test_a_letter_changed_on_the_way_or_sealed_with_another_secret_is_not_opened() -> None:
    body, now = b'{"object": "event"}', int(time.time())
    seal = signature(SECRET, body, now)

    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", seal, SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature("whsec_other", body, now), SECRET)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, signature(SECRET, body, now - 301), SECRET)


def test_a_shop_that_fails_twice_gets_the_letter_a_third_time_with_a_fresh_seal(
    simulator: Simulator, shop: Shop
) -> None:
    shop.answers = [500, 302]
    simulator.deliveries.retry_after = (0.6, 0.6)
    simulator.deliveries.start()

    client(simulator).v1.customers.create({"name": "Ada"})

    until(lambda: shop.events)
    until(lambda: simulator.deliveries.rows()[0].state == "delivered")
    assert simulator.deliveries.rows()[0].attempts == 3
    assert len(set(shop.signatures)) > 1


def test_a_shop_that_is_down_delays_neither_the_api_nor_other_shops(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.add_endpoint("http://127.0.0.1:9/nobody", SECRET, name="we_dead")
    simulator.deliveries.start()

    began = time.perf_counter()
    for number in range(20):
        client(simulator).v1.customers.create({"name": str(number)})
    took = time.perf_counter() - began

    until(lambda: len(shop.events) == 20)
    assert took < 2
    assert [event.data.object["name"] for event in shop.events] == [str(number) for number in range(20)]
    dead = [row for row in simulator.deliveries.rows() if row.endpoint_id == "we_dead"]
    until(lambda: dead[0].attempts > 1)
    assert {row.state for row in dead} == {"waiting"}


def test_an_endpoint_made_through_the_api_gets_the_types_it_asked_for(
    simulator: Simulator, shop: Shop
) -> None:
    simulator.deliveries.standing.clear()
    endpoint = client(simulator).v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["product.created"]}
    )

    client(simulator).v1.customers.create({"name": "Ada"})
    client(simulator).v1.products.create({"name": "Pro"})

    (letter,) = simulator.deliveries.pending()
    assert (letter.event["type"], letter.endpoint_url) == ("product.created", "http://127.0.0.1:9/")
    assert letter.secret == endpoint.secret
    assert stripe.Webhook.construct_event(
        letter.body(), letter.headers()["Stripe-Signature"], endpoint.secret or ""
    )

    client(simulator).v1.webhook_endpoints.delete(endpoint.id)
    assert simulator.deliveries.pending() == []


def test_held_post_waits_and_goes_out_in_order_when_released(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.start()
    simulator.deliveries.set_hold(True)
    for name in ("Ada", "Bo", "Cy"):
        client(simulator).v1.customers.create({"name": name})

    assert [letter.event["data"]["object"]["name"] for letter in simulator.deliveries.pending()] == [
        "Ada",
        "Bo",
        "Cy",
    ]
    assert shop.events == []

    simulator.deliveries.set_hold(False)
    until(lambda: len(shop.events) == 3)
    assert [event.data.object["name"] for event in shop.events] == ["Ada", "Bo", "Cy"]


def test_held_post_can_be_handed_over_by_hand(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.set_hold(True)
    client(simulator).v1.customers.create({"name": "Ada"})

    assert simulator.deliveries.deliver_now() == 1

    assert shop.types() == ["customer.created"]
    assert simulator.deliveries.deliver_now() == 0


def test_a_letter_can_be_sent_again(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.start()
    client(simulator).v1.customers.create({"name": "Ada"})
    until(lambda: shop.events)

    assert simulator.deliveries.resend(shop.events[0].id) == 1

    until(lambda: len(shop.events) == 2)
    assert shop.events[0].id == shop.events[1].id


def _types_with(faults: Faults, simulator: Simulator, shop: Shop) -> list[str]:
    simulator.deliveries.set_faults(faults)
    for number in range(30):
        client(simulator).v1.customers.create({"name": str(number)})
    letters = [row for row in simulator.deliveries.rows() if row.state == "waiting"]
    return [letter.event["data"]["object"]["name"] for letter in sorted(letters, key=lambda row: row.next_at)]


def test_lost_doubled_and_reordered_post_is_the_same_mishap_for_the_same_seed(shop: Shop) -> None:
    faults = Faults(drop=0.3, double=0.3, reorder=0.3, seed=7)

    def run() -> list[str]:
        simulator = Simulator()
        simulator.deliveries.add_endpoint(shop.url, SECRET)
        return _types_with(faults, simulator, shop)

    first, second = run(), run()

    in_order = [str(number) for number in range(30)]
    assert set(first) < set(in_order)  # some are lost
    assert len(first) > len(set(first))  # some come twice
    assert first != sorted(first, key=int)  # some overtake others
    assert sorted(first) == sorted(second)


def test_delayed_post_comes_late(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.set_faults(Faults(delay=1.0, delay_seconds=0.4))
    simulator.deliveries.start()
    began = time.monotonic()

    client(simulator).v1.customers.create({"name": "Ada"})

    until(lambda: shop.events)
    assert time.monotonic() - began >= 0.4


def test_post_that_was_waiting_at_the_end_of_a_process_goes_out_in_the_next_one_to_the_new_address(
    shop: Shop, tmp_path: Path
) -> None:
    store = str(tmp_path / "stripe.sqlite3")
    first = Simulator(store_path=store)
    first.deliveries.add_endpoint("http://127.0.0.1:9/old", SECRET)
    client(first).v1.customers.create({"name": "Ada"})
    first.store.close()

    second = Simulator(store_path=store)
    second.deliveries.add_endpoint(shop.url, SECRET)
    second.deliveries.start()

    until(lambda: shop.events)
    second.deliveries.stop()
    assert shop.types() == ["customer.created"]


def _use_nobody_made(simulator: Simulator) -> str:
    """Usage of a customer who does not exist: told by a thin event. Returns its id."""
    api = client(simulator).v1.billing
    api.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    payload = {"stripe_customer_id": "cus_nobody", "value": "1"}
    api.meter_events.create({"event_name": "tokens", "payload": payload})
    (event,) = simulator.store.all("v2.core.event")
    return str(event["id"])


def _letters(shop: Shop, event_id: str) -> list[bytes]:
    return [body for body in shop.bodies if json.loads(body)["id"] == event_id]


def test_a_thin_event_that_waited_at_the_end_of_a_process_goes_out_in_the_next_one_as_it_was(
    shop: Shop, tmp_path: Path
) -> None:
    store = str(tmp_path / "stripe.sqlite3")
    first = Simulator(store_path=store)
    first.deliveries.add_endpoint("http://127.0.0.1:9/old", SECRET)
    event_id = _use_nobody_made(first)
    written = next(it for it in first.deliveries.pending() if it.event["id"] == event_id).body()
    first.store.close()

    second = Simulator(store_path=store)
    second.deliveries.add_endpoint(shop.url, SECRET)
    second.deliveries.start()

    until(lambda: _letters(shop, event_id))
    second.deliveries.stop()
    assert _letters(shop, event_id) == [written]
    assert "data" not in json.loads(written)


def test_a_thin_event_can_be_sent_again_and_says_no_more_than_before(
    simulator: Simulator, shop: Shop
) -> None:
    simulator.deliveries.start()
    event_id = _use_nobody_made(simulator)
    until(lambda: _letters(shop, event_id))

    assert simulator.deliveries.resend(event_id) == 1

    until(lambda: len(_letters(shop, event_id)) == 2)
    assert len(set(_letters(shop, event_id))) == 1


def test_a_garbled_letter_is_refused_and_the_same_seed_garbles_the_same_ones(shop: Shop) -> None:
    def garbled() -> list[str]:
        simulator = Simulator()
        simulator.deliveries.add_endpoint(shop.url, SECRET)
        simulator.deliveries.set_faults(Faults(corrupt=0.3, seed=11))
        for number in range(20):
            client(simulator).v1.customers.create({"name": str(number)})
        return [it.event["data"]["object"]["name"] for it in simulator.deliveries.pending() if it.is_corrupt]

    first = garbled()

    assert 0 < len(first) < 20
    assert garbled() == first


def test_letters_that_overtake_each_other_all_arrive(simulator: Simulator, shop: Shop) -> None:
    simulator.deliveries.set_faults(Faults(reorder=0.5, double=0.3, delay=0.2, delay_seconds=0.3, seed=4))
    simulator.deliveries.start()
    for number in range(12):
        client(simulator).v1.customers.create({"name": str(number)})

    until(lambda: simulator.deliveries.pending() == [])

    arrived = [event.data.object["name"] for event in shop.events]
    assert set(arrived) == {str(number) for number in range(12)}
    assert len(arrived) > 12  # some twice
    first_times = list(dict.fromkeys(arrived))
    assert first_times != sorted(first_times, key=int)  # some late
