"""When Stripe does not answer it is left alone for a while, nobody waits for it in vain, and staff can see it."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import Account
from billing.models import WebhookEvent
from billing.stripe import breaker, gateway
from billing.stripe.breaker import Breaker, Resting, State
from billing.stripe.gateway import journal
from simulator import front_door
from simulator.failures import Failure

if TYPE_CHECKING:
    from simulator.core import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


class Watch:
    """A stop watch that only we turn."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def heard() -> list[State]:
    return []


@pytest.fixture
def line(watch: Watch, heard: list[State]) -> Breaker:
    return Breaker(watch=watch, on_change=heard.append)


@pytest.fixture(autouse=True)
def _an_empty_journal(simulator: "Simulator") -> Iterator[None]:
    as_shipped = {**settings.CACHES, journal.CACHE: settings.OPERATIONS_CACHE_AS_SHIPPED}
    with override_settings(CACHES=as_shipped):
        caches[journal.CACHE].clear()
        yield
        caches[journal.CACHE].clear()
    front_door.of(simulator).forget()


def fail(line: Breaker, times: int, *, waited: float = 0.1) -> None:
    for _ in range(times):
        line.enter()
        line.failed(waited=waited)


def test_five_calls_in_a_row_without_an_answer_put_the_line_to_rest(
    line: Breaker, heard: list[State]
) -> None:
    fail(line, 4)
    assert not line.is_resting()

    fail(line, 1)

    with pytest.raises(Resting, match="asked again in 10 s"):
        line.enter()
    assert (line.state, heard) == (State.OPEN, [State.OPEN])


def test_an_answer_in_between_begins_the_count_anew(line: Breaker) -> None:
    fail(line, 4)
    line.answered()
    fail(line, 4)

    line.enter()
    assert line.state == State.CLOSED


def test_long_waits_count_for_more_than_quick_failures(line: Breaker) -> None:
    fail(line, 1, waited=29)
    line.enter()
    fail(line, 1, waited=1)

    assert line.is_resting()


def test_after_a_rest_one_call_tries_the_line_out_and_the_others_wait_for_it(
    line: Breaker, watch: Watch, heard: list[State]
) -> None:
    fail(line, 5)
    watch.seconds += breaker.REST_SECONDS

    line.enter()
    with pytest.raises(Resting):
        line.enter()
    line.answered()

    line.enter()
    assert heard == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_trial_that_fails_makes_the_rest_longer_up_to_an_end(line: Breaker, watch: Watch) -> None:
    fail(line, 5)
    rests = []
    for _ in range(5):
        while line.is_resting():
            watch.seconds += 1
        began = watch.seconds
        fail(line, 1)
        while line.is_resting():
            watch.seconds += 1
        rests.append(watch.seconds - began)

    assert rests == [20, 40, 80, 80, 80]


def test_who_tries_the_line_out_and_never_comes_back_is_followed_by_another(
    line: Breaker, watch: Watch
) -> None:
    fail(line, 5)
    watch.seconds += breaker.REST_SECONDS
    line.enter()

    watch.seconds += breaker.PROBE_SECONDS

    line.enter()
    line.answered()
    assert line.state == State.CLOSED


def test_of_many_threads_after_a_rest_one_tries_the_line_out(line: Breaker, watch: Watch) -> None:
    fail(line, 5)
    watch.seconds += breaker.REST_SECONDS
    start, let_through = threading.Barrier(16, timeout=10), []

    def ask(number: int) -> None:
        start.wait()
        try:
            line.enter()
        except Resting:
            return
        let_through.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(let_through) == 1


@pytest.mark.parametrize(("when", "status"), [("before", 500), ("after", 503), ("after", 0)])
def test_while_the_line_rests_nothing_is_asked_and_the_outcome_is_known(
    shop: "Simulator", when: str, status: int
) -> None:
    door = front_door.of(shop)
    door.fail(Failure(path="/v1/customers", when=when, status=status, times=1000))
    for number in range(breaker.MOST_FAILURES):
        with pytest.raises(gateway.StripeUnavailable) as failed:
            gateway.post("/v1/customers", idempotency_key=f"new-{number}")
        assert failed.value.outcome_unknown
    calls = len(door.log)

    with pytest.raises(gateway.StripeUnavailable, match="has not answered lately") as refused:
        gateway.post("/v1/customers", idempotency_key="one-more")

    assert not refused.value.outcome_unknown
    assert gateway.is_resting()
    assert len(door.log) == calls


@pytest.mark.parametrize("status", [400, 404, 429])
def test_a_refusal_is_an_answer_and_so_is_too_many_requests(
    shop: "Simulator", status: int, settings: Any
) -> None:
    front_door.of(shop).fail(Failure(path="/v1/balance", status=status, times=1000))
    for _ in range(breaker.MOST_FAILURES if status != 429 else 1):
        with pytest.raises(gateway.StripeError):
            gateway.get("/v1/balance")

    assert not gateway.is_resting()


def test_the_journal_keeps_calls_without_a_word_of_what_was_said(shop: "Simulator") -> None:
    gateway.post("/v1/customers", {"email": "secret@example.com"}, idempotency_key="secret-key")

    call = journal.calls()[0]

    assert (call.method, call.path, call.status) == ("POST", "/v1/customers", 200)
    assert call.request_id.startswith("req_")
    assert "secret" not in repr(journal.calls())


def test_the_journal_counts_by_kind(shop: "Simulator") -> None:
    caches[journal.CACHE].clear()
    door = front_door.of(shop)
    gateway.get("/v1/balance")
    with pytest.raises(gateway.NotFound):
        gateway.get("/v1/customers/cus_nobody")
    door.fail(Failure(path="/v1/balance", status=500, times=3))
    with pytest.raises(gateway.StripeUnavailable):
        gateway.get("/v1/balance")
    door.fail(Failure(path="/v1/balance", status=429, times=1))
    gateway.get("/v1/balance")

    found = journal.counts(now=timezone.now())

    assert dict(found) == {"calls": 5, "errors": 1, "no_answer": 1, "rate_limited": 1, "not_asked": 0}


def test_the_journal_forgets_the_oldest(shop: "Simulator") -> None:
    for number in range(journal.LENGTH + 20):
        journal.note(method="GET", path=f"/v1/{number}", status=200, milliseconds=1, request_id="")

    found = journal.calls()

    assert len(found) == journal.LENGTH
    assert found[0].path == f"/v1/{journal.LENGTH + 19}"


def test_a_broken_cache_breaks_no_call_to_stripe(shop: "Simulator", settings: Any) -> None:
    settings.CACHES = {
        **settings.CACHES,
        "operations": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        },
    }

    assert gateway.get("/v1/balance")["object"] == "balance"
    assert journal.calls() == []
    journal.try_again()


def test_staff_see_on_one_page_how_it_stands_with_stripe(
    shop: "Simulator", account: Account, as_dana: Client
) -> None:
    front_door.of(shop).fail(Failure(path="/v1/customers", status=500, times=1000))
    for number in range(breaker.MOST_FAILURES):
        with pytest.raises(gateway.StripeUnavailable):
            gateway.post("/v1/customers", idempotency_key=f"new-{number}")
    now = timezone.now()
    WebhookEvent.objects.create(
        stripe_event_id="evt_1",
        type="invoice.paid",
        livemode=False,
        payload={},
        event_created_at=now,
        received_at=now - timedelta(hours=1),
        next_attempt_at=now,
        state=WebhookEvent.State.DEAD,
    )

    assert b'href="/staff/operations/"' in as_dana.get("/staff/").content
    page = as_dana.get("/staff/operations/")

    text = page.content.decode()
    assert page.status_code == 200
    assert "resting" in text
    assert "/v1/customers" in text
    assert "1 dead" in text


def test_the_page_is_for_staff(as_alice: Client, client: Client) -> None:
    for visitor in (as_alice, client):
        assert visitor.get("/staff/operations/").status_code == 302
