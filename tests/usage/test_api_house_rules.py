"""What every call below /api/v1/ may count on: errors of one shape, and no more calls a minute than agreed."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection
from django.test import Client

from accounts import api_keys

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def key_text(db):
    _, text = api_keys.issue(kind="service", name="the product", now=NOW)
    return text


@pytest.fixture
def call(key_text, account):
    def act(path="entitlements", *, method="get", key=key_text, **more):
        client = Client(raise_request_exception=False)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        joint = "&" if "?" in path else "?"
        return getattr(client, method)(f"/api/v1/{path}{joint}account={account.pk}", headers=headers, **more)

    return act


def assert_problem(response, status, code):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.json()["status"] == status
    assert response.json()["detail"].endswith(".")


@pytest.mark.parametrize("key", [None, "the key"])
def test_an_address_that_is_not_there_is_a_problem_like_any_other(call, key, key_text):
    assert_problem(call("nothing-of-the-kind", key=key and key_text), 404, "not_found")


@pytest.mark.parametrize("key", [None, "the key"])
def test_a_method_that_is_not_there_names_those_that_are(call, key, key_text):
    response = call("plans", method="delete", key=key and key_text)

    assert_problem(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET"


def test_a_body_that_is_not_json_or_far_too_large_is_refused_in_words(call):
    broken = call("usage", method="post", data="{", content_type="application/json")
    large = call("usage", method="post", data='"' + "x" * 2_000_000 + '"', content_type="application/json")

    assert_problem(broken, 400, "invalid_request")
    assert_problem(large, 413, "too_large")


def test_a_writing_call_of_a_session_without_its_token_is_a_problem(alice, account):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")

    response = client.post("/api/v1/usage", {"feature": "x"}, content_type="application/json")

    assert_problem(response, 403, "forbidden")


@time_machine.travel(NOW, tick=False)
def test_each_answer_says_how_many_calls_are_left_in_this_minute(call, settings):
    cache.clear()
    settings.API_CALLS_PER_MINUTE = 400

    left = [call()["RateLimit-Remaining"] for _ in range(45)]

    assert left == [str(399 - made) for made in range(45)]
    assert call()["RateLimit-Limit"] == "400"
    assert call()["RateLimit-Reset"] == "60"


def test_a_call_too_many_is_refused_until_the_minute_is_over(call, settings):
    cache.clear()
    settings.API_CALLS_PER_MINUTE = 3
    start = NOW + timedelta(hours=1, seconds=20)
    with time_machine.travel(start, tick=False):
        assert [call().status_code for _ in range(3)] == [200] * 3
        refused = call()
        assert_problem(refused, 429, "rate_limited")
        assert refused["Retry-After"] == "40"
        assert refused["RateLimit-Remaining"] == "0"
    with time_machine.travel(start + timedelta(seconds=40), tick=False):
        assert call().status_code == 200


def test_one_key_cannot_use_up_the_calls_of_another(call, settings):
    cache.clear()
    settings.API_CALLS_PER_MINUTE = 2
    _, other = api_keys.issue(kind="service", name="another", now=NOW)
    with time_machine.travel(NOW + timedelta(hours=2), tick=False):
        assert [call().status_code for _ in range(3)] == [200, 200, 429]
        assert call(key=other).status_code == 200


def test_a_key_that_was_never_issued_is_not_counted_and_not_told_anything(call):
    response = call(key="th_svc_" + "0" * 36)

    assert_problem(response, 401, "unauthorized")
    assert "RateLimit-Limit" not in response


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_database_that_hung_up_meanwhile_costs_no_call(call):
    """Connections last, and a server that was restarted has forgotten them."""
    assert call().status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (mine,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [mine])
    other.close()
    connection.close_if_unusable_or_obsolete()  # as Django does when a request begins

    assert call().status_code == 200
