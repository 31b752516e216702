"""The simulator listens, answers the official SDK, keeps its state, and has levers nobody at Stripe has."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from simulator import front_door
from simulator.core import Simulator
from simulator.in_process import InProcess
from simulator.server import Running, serve

KEY = "sk_test_" + "7" * 24


@pytest.fixture
def running() -> Iterator[Running]:
    found = serve(Simulator())
    yield found
    found.stop()


def client(url: str, **options: Any) -> stripe.StripeClient:
    return stripe.StripeClient(KEY, base_addresses={"api": url}, **options)


def control(
    url: str, path: str, given: dict[str, Any] | None = None, *, verb: str = "POST"
) -> dict[str, Any]:
    body = json.dumps(given or {}).encode() if verb == "POST" else None
    request = urllib.request.Request(f"{url}/_sim/{path}", body, method=verb)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def raw(url: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_official_sdk_talks_to_it_and_every_answer_has_the_right_shape(running: Running) -> None:
    made = client(running.url).v1.customers.create({"email": "ada@example.com"})

    again = client(running.url).v1.customers.retrieve(made.id)

    assert again.email == "ada@example.com"


def test_many_calls_over_one_connection_do_not_wait_for_delayed_acknowledgements(running: Running) -> None:
    connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=10)
    began = time.perf_counter()

    for _ in range(50):
        connection.request("GET", "/_sim/health")
        connection.getresponse().read()

    assert time.perf_counter() - began < 1.5  # With the two-packet trap it is more than two seconds.


def test_the_sdk_works_without_a_socket_too() -> None:
    simulator = Simulator()
    inside = stripe.StripeClient(KEY, http_client=InProcess(simulator))

    made = inside.v1.customers.create({"name": "Ada"})

    assert simulator.store.get("customer", made.id) is not None
    assert front_door.of(simulator).requests()[0]["path"] == "/v1/customers"


def test_a_body_over_one_megabyte_is_refused(running: Running) -> None:
    status, text = raw(running.url, "POST", "/v1/customers", b"x" * (1024 * 1024 + 1))

    assert status == 413
    assert "larger than 1048576 bytes" in text


def test_a_strange_page_in_the_browser_can_neither_press_its_buttons_nor_call_it_by_another_name(
    running: Running,
) -> None:
    assert raw(running.url, "POST", "/_sim/reset", Origin="https://evil.example")[0] == 403
    assert raw(running.url, "GET", "/_sim/requests", Host="evil.example")[0] == 403


def test_the_log_shows_calls_with_their_idempotency_keys_and_hides_cards(running: Running) -> None:
    client(running.url).v1.customers.create({"name": "Ada"}, {"idempotency_key": "key-1"})
    raw(running.url, "POST", "/v1/payment_methods", b"type=card&card[number]=4242424242424242")

    second, first = control(running.url, "requests", verb="GET")["data"]

    assert (first["idempotency_key"], first["status"]) == ("key-1", 200)
    assert first["request_id"].startswith("req_")
    assert second["status"] == 401
    assert "4242" not in second["body"]
    assert KEY not in json.dumps([first, second])


def test_a_call_can_be_made_to_fail_before_it_has_any_effect(running: Running) -> None:
    control(running.url, "failures", {"method": "POST", "path": "/v1/customers", "status": 500})
    once = client(running.url, max_network_retries=0)

    with pytest.raises(stripe.APIError):
        once.v1.customers.create({"name": "Ada"})

    assert list(once.v1.customers.list().data) == []
    assert once.v1.customers.create({"name": "Ada"}).name == "Ada"


def test_an_answer_lost_on_the_way_back_is_found_again_by_the_sdks_own_retry(running: Running) -> None:
    failure = {"path": "/v1/customers", "method": "POST", "when": "after", "status": 0}
    control(running.url, "failures", failure)

    made = client(running.url, max_network_retries=2).v1.customers.create({"name": "Ada"})

    assert [it.id for it in client(running.url).v1.customers.list().data] == [made.id]


@pytest.mark.parametrize(
    ("path", "given", "said"),
    [
        ("failures", {"status": 200}, "status is 0 (hang up) or between 400 and 599, not 200."),
        ("failures", {"colour": "red"}, "colour is not one of"),
        ("faults", {"drop": 2}, "drop is a chance between 0 and 1"),
        ("advance", {"seconds": -5}, "time only moves forwards"),
        ("deliveries/resend", {"event": "evt_none"}, "there is no event evt_none"),
        ("endpoint", {"url": "nowhere", "secret": "x"}, "url must begin with http:// or https://"),
    ],
)
def test_a_lever_pulled_wrongly_says_why(
    running: Running, path: str, given: dict[str, Any], said: str
) -> None:
    status, text = raw(running.url, "POST", f"/_sim/{path}", json.dumps(given).encode())

    assert status == 400
    assert said in text


def test_an_unknown_lever_names_those_there_are(running: Running) -> None:
    status, text = raw(running.url, "POST", "/_sim/explode")

    assert status == 404
    assert "POST /_sim/reset" in text


def test_a_reset_empties_the_house(running: Running) -> None:
    client(running.url).v1.customers.create({"name": "Ada"})

    control(running.url, "reset")

    assert control(running.url, "health", verb="GET")["objects"]["customer"] == 0
    assert control(running.url, "requests", verb="GET")["data"] == []


def test_time_moves_forwards_for_customers_without_a_test_clock(running: Running) -> None:
    before = client(running.url).v1.customers.create({"name": "Ada"}).created

    control(running.url, "advance", {"seconds": 86_400})

    assert client(running.url).v1.customers.create({"name": "Bo"}).created >= before + 86_400


def _start(port: str, store: Path, **env: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "simulator", "--port", port, "--store", str(store)]
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | env,
    )


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip().removeprefix("simulator: listening on ")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_with_a_file_everything_is_there_again_after_a_restart_even_after_a_crash(
    tmp_path: Path, end: signal.Signals
) -> None:
    first = _start("0", tmp_path / "stripe.sqlite3")
    made = client(_url(first)).v1.customers.create({"name": "Ada"}, {"idempotency_key": "key-1"})
    first.send_signal(end)
    status = first.wait(timeout=10)

    second = _start("0", tmp_path / "stripe.sqlite3")
    try:
        again = client(_url(second)).v1.customers.create({"name": "Ada"}, {"idempotency_key": "key-1"})
    finally:
        second.terminate()
        second.wait(timeout=10)

    assert again.id == made.id
    assert status == (0 if end == signal.SIGTERM else -signal.SIGKILL)


def test_a_taken_port_and_a_webhook_without_its_secret_are_said_in_a_sentence(
    running: Running, tmp_path: Path
) -> None:
    taken = _start(running.url.rpartition(":")[2], tmp_path / "a.sqlite3")
    unsigned = _start("0", tmp_path / "b.sqlite3", SIMULATOR_WEBHOOK_URL="http://127.0.0.1:1/")

    assert "cannot listen on 127.0.0.1" in taken.communicate(timeout=10)[1]
    assert taken.returncode == 1
    assert "--webhook-url needs --webhook-secret" in unsigned.communicate(timeout=10)[1]
    assert unsigned.returncode == 2
