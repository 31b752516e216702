"""The simulator as a person's tool: what is in it, what went wrong on request, and the levers, as pages."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from simulator.core import Simulator
from simulator.server import Running
from tests.simulator.visitor import Visitor

SECRET = "whsec_dashboard"
CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 50", "cvc": "123"}
ASKS_3DS = CARD | {"number": "4000002500003155"}
SHOP = "https://shop.example"


@pytest.fixture
def kim(sim: Simulator, house: Running) -> Iterator[Visitor]:
    yield Visitor(house.url)
    pull(house, "reset")


@pytest.fixture
def letters(sim: Simulator, house: Running) -> Iterator[list[tuple[bytes, str]]]:
    """A webhook endpoint that takes everything and keeps body and signature."""
    taken: list[tuple[bytes, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signature = self.headers["Stripe-Signature"]
            taken.append((body, signature))
            self.send_response(200 if signed(body, signature) else 400)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    house.simulator.deliveries.add_endpoint(f"http://127.0.0.1:{server.server_port}/", SECRET, name="we_here")
    house.simulator.deliveries.set_hold(False)
    yield taken
    house.simulator.deliveries.set_hold(True)
    house.simulator.deliveries.standing.pop("we_here")
    server.shutdown()
    server.server_close()


def pull(house: Running, lever: str, **given: Any) -> Any:
    request = urllib.request.Request(f"{house.url}/_sim/{lever}", json.dumps(given).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def signed(body: bytes, signature: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body.decode(), signature, SECRET, 300)
    except stripe.SignatureVerificationError:
        return False
    return True


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.02)


def checkout(api: stripe.StripeClient, **more: Any) -> stripe.checkout.Session:
    product = api.v1.products.create({"name": "Pro"})
    price = api.v1.prices.create(
        {"product": product.id, "unit_amount": 2900, "currency": "usd", "recurring": {"interval": "month"}}
    )
    given: dict[str, Any] = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": f"{SHOP}/welcome",
        "cancel_url": f"{SHOP}/pricing",
        "customer_email": "kim@example.com",
    }
    return api.v1.checkout.sessions.create(given | more)  # type: ignore[arg-type]


def test_a_customer_is_found_by_id_or_mail_and_shown_as_the_api_shows_it(
    kim: Visitor, api: stripe.StripeClient
) -> None:
    kim.open(checkout(api).url or "").press("Pay $29.00", CARD)
    customer = api.v1.customers.list().data[0].id

    by_mail = kim.open("/").press("Find", q="kim@example.com").url
    kim.open("/").press("Find", q=customer)

    assert kim.url == by_mail
    assert '"email": "kim@example.com"' in kim.text
    assert "customer.created" in kim.text
    kim.open("/").press("Find", q="cus_nobody")
    assert "There is nothing called “cus_nobody” here." in kim.text


def test_the_overview_leads_from_an_invoice_to_its_customer(kim: Visitor, api: stripe.StripeClient) -> None:
    kim.open(checkout(api).url or "").press("Pay $29.00", CARD)
    customer = api.v1.customers.list().data[0].id

    kim.open("/").follow(str(api.v1.invoices.list().data[0].id)).follow(customer)

    assert '"object": "customer"' in kim.text


def test_a_delivery_can_be_sent_again_from_the_event(
    kim: Visitor, api: stripe.StripeClient, letters: list[tuple[bytes, str]]
) -> None:
    api.v1.customers.create({"name": "Ada"})
    until(lambda: len(letters) == 1)

    kim.open("/").follow(api.v1.events.list().data[0].id).press("Send again")

    until(lambda: len(letters) == 2)
    assert letters[0][0] == letters[1][0]


def test_a_thin_event_is_sent_again_like_any_other_and_its_deliveries_are_listed(
    house: Running, kim: Visitor, api: stripe.StripeClient, letters: list[tuple[bytes, str]]
) -> None:
    api.v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": "tokens", "default_aggregation": {"formula": "sum"}}
    )
    usage: dict[str, Any] = {"stripe_customer_id": "cus_nobody", "value": "1"}
    api.v1.billing.meter_events.create({"event_name": "tokens", "payload": usage})

    def thin() -> list[bytes]:
        return [body for body, _ in letters if b'"v2.core.event"' in body]

    until(lambda: len(thin()) == 1)
    event = json.loads(thin()[0])["id"]

    kim.open("/")
    assert "Thin events" in kim.text
    kim.follow(event).press("Send again")
    until(lambda: len(thin()) == 2)
    until(lambda: kim.open(f"{house.url}/_page/objects/{event}").text.count("delivered") == 2)

    assert thin()[0] == thin()[1]
    assert "error_message" in kim.text  # the page shows the whole event, as the API does


def test_the_log_finds_a_call_by_its_idempotency_key(kim: Visitor, api: stripe.StripeClient) -> None:
    api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "order-7"})
    api.v1.customers.create({"name": "Bo"}, {"idempotency_key": "order-8"})

    kim.open("/_page/requests").press("Show these", key="order-7")

    assert "POST /v1/customers" in kim.text
    assert "name=Ada" in kim.text
    assert "name=Bo" not in kim.text


def test_the_third_call_of_a_kind_can_be_made_to_fail_from_the_page(
    kim: Visitor, api: stripe.StripeClient
) -> None:
    kim.open("/_page/faults").press("Let them fail", path="/v1/customers", method="POST", way="1", when="after",
                                    skip="2")  # fmt: skip

    for name in ("Ada", "Bo"):
        api.v1.customers.create({"name": name})
    with pytest.raises(stripe.APIError) as refused:
        api.v1.customers.create({"name": "Cy"})

    assert refused.value.http_status == 503
    assert [it.name for it in api.v1.customers.list().data] == ["Cy", "Bo", "Ada"]
    assert "after effect" in kim.open("/_page/requests").text


def test_a_garbled_letter_is_refused_and_comes_again_whole(
    kim: Visitor, api: stripe.StripeClient, letters: list[tuple[bytes, str]]
) -> None:
    kim.open("/_page/faults").press("Set", corrupt="1")

    api.v1.customers.create({"name": "Ada"})

    until(lambda: len(letters) == 2)
    assert [signed(*letter) for letter in letters] == [False, True]


def test_a_signing_clock_that_is_ten_minutes_slow_makes_letters_too_old(
    kim: Visitor, api: stripe.StripeClient, letters: list[tuple[bytes, str]]
) -> None:
    kim.open("/_page/faults").press("Set", skew_seconds="-600")

    api.v1.customers.create({"name": "Ada"})

    until(lambda: len(letters) >= 1)
    assert not signed(*letters[0])
    with pytest.raises(stripe.SignatureVerificationError, match="outside the tolerance"):
        stripe.Webhook.construct_event(*letters[0], SECRET)  # type: ignore[no-untyped-call]


def test_a_chance_above_one_is_refused_in_words(kim: Visitor) -> None:
    kim.open("/_page/faults").press("Set", drop="2")

    assert "Nothing was changed: drop is a chance between 0 and 1, not 2.0." in kim.text


def test_who_closes_the_window_after_paying_has_still_paid(kim: Visitor, api: stripe.StripeClient) -> None:
    kim.open("/_page/faults").press("Set returns", checkout="1")
    session = checkout(api)

    kim.open(session.url or "").press("Pay $29.00", CARD)

    assert "The window was closed" in kim.text
    assert api.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    kim.open("/_page/faults").press("Set returns", {"portal": "1", "checkout": ""})
    assert kim.open(checkout(api).url or "").press("Pay $29.00", CARD).url.startswith(SHOP)


def test_a_new_card_in_the_portal_is_proven_with_the_bank_first(
    kim: Visitor, api: stripe.StripeClient
) -> None:
    session = checkout(api)
    kim.open(session.url or "").press("Pay $29.00", CARD)
    customer = str(api.v1.checkout.sessions.retrieve(session.id).customer)
    door = api.v1.billing_portal.sessions.create({"customer": customer, "return_url": SHOP}).url

    kim.open(door).follow("Change card").press("Save card", ASKS_3DS).press("Fail", {"answer": "fail"})
    assert "The card you had stays." in kim.text
    assert api.v1.customers.retrieve(customer).invoice_settings.default_payment_method is None  # type: ignore[union-attr]

    kim.press("Save card", ASKS_3DS).press("Complete", {"answer": "complete"})
    assert "Your card was changed." in kim.text
    assert "3155" in kim.text


def test_a_typed_promotion_code_can_be_taken_back(kim: Visitor, api: stripe.StripeClient) -> None:
    coupon = api.v1.coupons.create({"percent_off": 50, "duration": "once"})
    api.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"})

    kim.open(checkout(api, allow_promotion_codes=True).url or "").press("Apply", promotion_code="HALF")
    assert "Pay $14.50" in kim.buttons
    kim.press("Remove code")

    assert "Pay $29.00" in kim.buttons
    assert "Remove code" not in kim.buttons


def test_curl_with_the_key_as_its_user_name_is_let_in(
    house: Running, kim: Visitor, api: stripe.StripeClient
) -> None:
    def status(user: str) -> int:
        connection = http.client.HTTPConnection(house.url.removeprefix("http://"), timeout=10)
        token = base64.b64encode(user.encode()).decode()
        connection.request("GET", "/v1/customers", headers={"Authorization": f"Basic {token}"})
        found = connection.getresponse().status
        connection.close()
        return found

    assert status("sk_test_" + "0" * 24 + ":") == 200
    assert status("somebody:secret") == 401
    assert status("") == 401


def test_a_mistake_in_the_simulator_is_said_to_the_caller_and_told_in_full_on_stderr(
    house: Running,
    kim: Visitor,
    api: stripe.StripeClient,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(house.simulator.store, "newest", None)

    with pytest.raises(stripe.APIError, match="The simulator broke on this call: TypeError") as broken:
        api.v1.customers.list()

    assert broken.value.http_status == 500
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dashboard_is_accessible_and_fits_a_narrow_phone(
    house: Running, kim: Visitor, api: stripe.StripeClient, browser: Browser, scheme: Any, width: int
) -> None:
    api.v1.test_helpers.test_clocks.create({"frozen_time": 1_800_000_000, "name": "A year with Kim"})
    kim.open(checkout(api).url or "").press("Pay $29.00", CARD)
    customer = api.v1.customers.list().data[0].id
    event = api.v1.events.list().data[0].id
    pull(house, "failures", path="/v1/none", times=2)
    context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
    page = context.new_page()
    try:
        shown = [f"/_page/objects/{name}" for name in (customer, event)]
        for path in ("/", "/_page/requests", "/_page/faults", *shown, "/_page/nowhere"):
            page.goto(house.url + path)
            _is_well(page)
    finally:
        context.close()


def _is_well(page: Page) -> None:
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} px wider than the window"
    found = [
        f"{page.url}: {it['id']} {it['nodes'][0]['html'][:120]}"
        for it in Axe().run(page).response["violations"]
    ]
    assert found == []
