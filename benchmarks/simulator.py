"""How fast the small Stripe is: calls over HTTP and in process, long lists, a year of renewals. Prints ratios.

.venv/bin/python -m benchmarks.simulator [--seconds 5] [--customers 10000] [--subscriptions 1000]

Everything runs on one core where the system can be told so (Linux): client and server share it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from simulator import sdk
from simulator.core import Simulator
from simulator.server import serve

KEY = "sk_test_" + "0" * 24
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/x-www-form-urlencoded"}
INVOICES_EACH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--subscriptions", type=int, default=1_000)
    asked = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {_on_one_core()}\n")
    print(f"{'from start to the first answer, in seconds':44} {_start():18.2f}   (wanted: below 1)")
    inside = _in_process(asked.seconds)
    checked = _in_process(asked.seconds, held_against_the_sdk=True)
    outside = _over_http(asked.seconds)
    print(f"{'customers created a second':44} in process {inside:7.0f}   (wanted: 700)")
    print(f"{'':44} each answer looked at {checked:7.0f}   (wanted: 700)")
    print(f"{'':44} over HTTP  {outside:7.0f}   (wanted: 500)")
    print(f"{'':44} ratio      {outside / inside:7.2f}\n")
    _lists(asked.customers)
    _a_year(asked.subscriptions)


def _on_one_core() -> str:
    """Keep to one core, children too; answers how that went."""
    if not hasattr(os, "sched_setaffinity"):
        return "not kept to one of them, as this system cannot"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"kept to core {core}"


def _start() -> float:
    """`python -m simulator` until it has answered a call that looks at its parameters; the better of two, as the first
    reads the SDK.
    """
    return min(_started_once() for _ in range(2))


def _started_once() -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip().rpartition("http://")[2]
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("POST", "/v1/customers", "name=Kim", HEADERS)
    if connection.getresponse().status != 200:
        raise SystemExit("POST /v1/customers was refused")
    took = time.perf_counter() - began
    process.terminate()
    process.wait()
    return took


def call(simulator: Simulator, method: str, path: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """One call in process; a refusal ends the benchmark."""
    sent = urlencode(given or {})
    query, body = (sent, b"") if method == "GET" else ("", sent.encode())
    status, _, answer = simulator.handle(method, path, query, body, HEADERS)
    found: dict[str, Any] = json.loads(answer)
    if status != 200:
        raise SystemExit(f"{method} {path} answered {status}: {found}")
    return found


def _in_process(seconds: float, *, held_against_the_sdk: bool = False) -> float:
    """Parameters are always checked; on request each answer is held against the SDK's types too, as in the tests."""
    simulator = Simulator()
    call(simulator, "POST", "/v1/customers")  # the first call reads the SDK
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        made = call(
            simulator, "POST", "/v1/customers", {"email": f"a{done}@example.com", "metadata[n]": done}
        )
        if held_against_the_sdk and sdk.problems(made):
            raise SystemExit(f"a customer is not as the SDK has it: {sdk.problems(made)}")
        done += 1
    return done / (time.perf_counter() - began)


def _over_http(seconds: float) -> float:
    """One client on one connection; the server has a process of its own, as in life."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    address = ours.recv().removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=30)
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        body = urlencode({"email": f"a{done}@example.com", "metadata[n]": done})
        connection.request("POST", "/v1/customers", body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"POST /v1/customers answered {answer.status}")
        done += 1
    rate = done / (time.perf_counter() - began)
    server.terminate()
    server.join()
    return rate


def _serve(pipe: Any) -> None:
    pipe.send(serve(Simulator()).url)
    while True:
        time.sleep(60)


def _lists(customers: int) -> None:
    """The same pages of a small house and of a large one."""
    small, large = _house(customers // 10), _house(customers)
    print(f"{customers} customers, {customers * INVOICES_EACH} invoices; against a tenth of them, in ms")
    for said, walk in WALKS.items():
        few, many = _fastest(lambda: walk(small)), _fastest(lambda: walk(large))  # noqa: B023
        print(f"  {said:42} {few:8.2f} {many:8.2f}   ratio {many / few:5.2f}   (wanted: below 2)")
    print()


def _house(customers: int) -> Simulator:
    simulator = Simulator()
    for at in range(customers):
        owner = call(simulator, "POST", "/v1/customers", {"email": f"a{at}@example.com"})["id"]
        for _ in range(INVOICES_EACH):
            call(simulator, "POST", "/v1/invoices", {"customer": owner, "auto_advance": "false"})
    return simulator


def _first_page(simulator: Simulator) -> None:
    call(simulator, "GET", "/v1/invoices", {"limit": 100})


def _five_pages(simulator: Simulator) -> None:
    after: dict[str, Any] = {}
    for _ in range(5):
        page = call(simulator, "GET", "/v1/invoices", {"limit": 100} | after)["data"]
        after = {"starting_after": page[-1]["id"]}


def _of_one_customer(simulator: Simulator) -> None:
    owner = call(simulator, "GET", "/v1/customers", {"limit": 1})["data"][0]["id"]
    call(simulator, "GET", "/v1/invoices", {"customer": owner, "limit": 100})


def _customers(simulator: Simulator) -> None:
    call(simulator, "GET", "/v1/customers", {"limit": 100})


WALKS: dict[str, Callable[[Simulator], None]] = {
    "100 customers": _customers,
    "the newest 100 invoices": _first_page,
    "five pages of 100 invoices": _five_pages,
    "all invoices of one customer": _of_one_customer,
}


def _fastest(act: Callable[[], None], times: int = 7) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        found.append((time.perf_counter() - began) * 1000)
    return min(found)


def _a_year(subscriptions: int) -> None:
    """Monthly subscriptions of customers without a test clock; time jumps month by month."""
    simulator = Simulator()
    price = call(
        simulator,
        "POST",
        "/v1/prices",
        {
            "currency": "usd",
            "unit_amount": 2900,
            "recurring[interval]": "month",
            "product_data[name]": "Pro",
        },
    )["id"]
    for at in range(subscriptions):
        owner = call(simulator, "POST", "/v1/customers", {"email": f"a{at}@example.com"})["id"]
        card = call(simulator, "POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": owner})["id"]
        call(
            simulator,
            "POST",
            "/v1/subscriptions",
            {"customer": owner, "items[0][price]": price, "default_payment_method": card},
        )
    before = sum(1 for _ in simulator.store.all("invoice"))
    began = time.perf_counter()
    for _ in range(12):
        simulator.jump(31 * 86_400)
    took = time.perf_counter() - began
    renewed = sum(1 for _ in simulator.store.all("invoice")) - before
    if renewed < 12 * subscriptions:
        raise SystemExit(f"only {renewed} renewals of {12 * subscriptions} happened")
    print(
        f"{subscriptions} subscriptions, twelve months, {renewed} renewals: {took:.1f} s   (wanted: below 60)"
    )


if __name__ == "__main__":
    main()
