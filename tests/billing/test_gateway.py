"""Asking Stripe: what we send, how often we try, and what we make of every kind of answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import transaction

from billing.stripe import gateway


class Line:
    """The other end of the wire: answers what it was told to, in order, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, dict[str, str], str]] = []
        self.url = ""

    def will_answer(self, status: int, document: Any, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, document))

    def keys(self) -> list[str]:
        return [headers.get("Idempotency-Key", "") for _, _, headers, _ in self.asked]


@pytest.fixture
def line(settings: Any) -> Iterator[Line]:
    line = Line()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            line.asked.append((self.command, self.path, dict(self.headers), body))
            status, headers, document = line.answers.pop(0)
            if status == 0:  # hang up after having read the request: it may have been acted upon
                self.close_connection = True
                return
            text = document if isinstance(document, str) else json.dumps(document)
            self.send_response(status)
            for name, value in {"Request-Id": "req_1", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    line.url = settings.STRIPE_API_BASE = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield line
    server.shutdown()
    server.server_close()


def error(type: str, **details: str) -> dict[str, Any]:
    return {"error": {"type": type, "message": "Said Stripe.", **details}}


def test_a_call_carries_our_key_our_version_and_the_idempotency_key(line, settings):
    line.will_answer(200, {"id": "cus_1", "object": "customer"})

    answer = gateway.post("/v1/customers", {"metadata": {"a": "b"}}, idempotency_key="customer:1")

    [(method, path, headers, body)] = line.asked
    assert answer == {"id": "cus_1", "object": "customer"}
    assert (method, path, body) == ("POST", "/v1/customers", "metadata[a]=b")
    assert headers["Authorization"] == f"Bearer {settings.STRIPE_SECRET_KEY}"
    assert headers["Stripe-Version"] == "2026-08-26.dahlia"
    assert headers["Idempotency-Key"] == "customer:1"


def test_numbers_stay_as_stripe_wrote_them(line):
    line.will_answer(200, {"object": "price", "id": "price_1", "unit_amount_decimal": "0.5"})

    assert gateway.get("/v1/prices/price_1")["unit_amount_decimal"] == "0.5"


def test_another_address_in_the_settings_is_used_at_once(line, settings):
    line.will_answer(200, {"object": "balance"})
    settings.STRIPE_SECRET_KEY = "sk_test_" + "1" * 24

    gateway.get("/v1/balance")

    assert line.asked[0][2]["Authorization"] == "Bearer sk_test_" + "1" * 24


def test_a_list_is_read_page_after_page(line):
    line.will_answer(200, {"object": "list", "data": [{"id": "a"}, {"id": "b"}], "has_more": True})
    line.will_answer(200, {"object": "list", "data": [{"id": "c"}], "has_more": False})

    assert [entry["id"] for entry in gateway.pages("/v1/prices", {"active": True})] == ["a", "b", "c"]
    assert "starting_after=b" in line.asked[1][1]


def test_a_long_list_ends_where_it_was_asked_to(line):
    line.will_answer(200, {"object": "list", "data": [{"id": "a"}, {"id": "b"}], "has_more": True})

    assert [entry["id"] for entry in gateway.pages("/v1/prices", at_most=1)] == ["a"]


def test_a_dropped_connection_is_tried_again_with_the_same_key(line):
    line.will_answer(0, None)
    line.will_answer(200, {"id": "re_1", "object": "refund"})

    assert gateway.post("/v1/refunds", idempotency_key="refund:in_1")["id"] == "re_1"
    assert line.keys() == ["refund:in_1", "refund:in_1"]


def test_a_write_without_an_answer_may_have_happened(line):
    for _ in range(3):
        line.will_answer(0, None)

    with pytest.raises(gateway.StripeUnavailable) as raised:
        gateway.post("/v1/customers", idempotency_key="customer:1")

    assert raised.value.outcome_unknown
    assert len(line.asked) == 3


def test_a_read_without_an_answer_changed_nothing(line):
    for _ in range(3):
        line.will_answer(503, error("api_error"))

    with pytest.raises(gateway.StripeUnavailable) as raised:
        gateway.get("/v1/balance")

    assert not raised.value.outcome_unknown
    assert raised.value.request_id == "req_1"


def test_a_failure_that_stripe_saved_for_the_key_is_known_as_one(line):
    line.will_answer(500, error("api_error"), Idempotent_Replayed="true", Stripe_Should_Retry="false")

    with pytest.raises(gateway.StripeUnavailable) as raised:
        gateway.post("/v1/customers", idempotency_key="customer:1")

    assert raised.value.was_replayed
    assert len(line.asked) == 1


def test_asked_too_often_we_wait_as_long_as_stripe_says_and_ask_again(line):
    line.will_answer(429, error("rate_limit_error"), Retry_After="0.01")
    line.will_answer(200, {"object": "balance"})

    assert gateway.get("/v1/balance") == {"object": "balance"}


def test_asked_too_often_for_too_long_we_give_up_and_nothing_happened(line):
    for _ in range(4):
        line.will_answer(429, error("rate_limit_error"), Retry_After="0.01")

    with pytest.raises(gateway.StripeUnavailable) as raised:
        gateway.post("/v1/refunds", idempotency_key="refund:in_1")

    assert not raised.value.outcome_unknown
    assert line.keys() == ["refund:in_1"] * 4


def test_told_not_to_ask_again_we_do_not(line):
    line.will_answer(429, error("rate_limit_error"), Stripe_Should_Retry="false")

    with pytest.raises(gateway.StripeUnavailable):
        gateway.get("/v1/balance")

    assert len(line.asked) == 1


def test_an_answer_that_is_not_stripes_is_no_answer(line):
    for _ in range(3):
        line.will_answer(502, "<html>Bad gateway</html>")

    with pytest.raises(gateway.StripeUnavailable):
        gateway.get("/v1/balance")


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (400, error("invalid_request_error", code="parameter_unknown", param="x"), gateway.InvalidRequest),
        (400, error("idempotency_error"), gateway.IdempotencyMismatch),
        (401, error("invalid_request_error"), gateway.NotAllowed),
        (
            402,
            error("card_error", code="card_declined", decline_code="insufficient_funds"),
            gateway.CardDeclined,
        ),
        (403, error("invalid_request_error"), gateway.NotAllowed),
        (404, error("invalid_request_error", code="resource_missing", param="id"), gateway.NotFound),
    ],
)
def test_each_refusal_has_its_name(line, status, document, expected):
    line.will_answer(status, document)

    with pytest.raises(gateway.StripeError) as raised:
        gateway.post("/v1/subscriptions", idempotency_key="k")

    assert type(raised.value) is expected
    assert raised.value.request_id == "req_1"
    assert len(line.asked) == 1


def test_a_declined_card_says_why(line):
    line.will_answer(402, error("card_error", code="card_declined", decline_code="insufficient_funds"))

    with pytest.raises(gateway.CardDeclined) as raised:
        gateway.post("/v1/subscriptions", idempotency_key="k")

    assert raised.value.message == "Said Stripe."
    assert (raised.value.code, raised.value.decline_code) == ("card_declined", "insufficient_funds")


def test_an_id_of_the_other_mode_is_not_taken_for_a_missing_one(line):
    message = "No such customer: 'cus_1'; a similar object exists in live mode, but a test mode key was used."
    line.will_answer(
        404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": message}}
    )

    with pytest.raises(gateway.WrongMode):
        gateway.get("/v1/customers/cus_1")


@pytest.mark.django_db(transaction=True)
def test_no_call_leaves_inside_a_transaction(line):
    with pytest.raises(gateway.InsideTransaction), transaction.atomic():
        gateway.get("/v1/balance")

    assert line.asked == []


def test_each_call_is_one_line_in_the_log_without_bodies_or_keys(line, settings, caplog):
    line.will_answer(200, {"id": "cus_1", "object": "customer", "email": "alice@example.com"})

    with caplog.at_level("INFO"):
        gateway.post("/v1/customers", {"email": "alice@example.com"}, idempotency_key="customer:1")

    [record] = [record for record in caplog.records if "stripe_call" in record.getMessage()]
    said = record.getMessage()
    assert all(word in said for word in ("POST", "/v1/customers", "200", "req_1"))
    assert "alice" not in said
    assert settings.STRIPE_SECRET_KEY not in said
