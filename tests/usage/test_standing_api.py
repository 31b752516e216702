"""Gauges and slots as another service meets them."""

from typing import Any

import pytest
from django.test import Client

from accounts import api_keys
from accounts.models import Account, Member, User
from tests.usage.conftest import NOON, opened
from tests.usage.test_api import assert_problem
from tests.usage.test_gauges import agreed
from tests.usage.test_pages import acting_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def service() -> dict[str, str]:
    _, key = api_keys.issue(kind="service", name="the product", now=NOON)
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def own_key(two: Account) -> dict[str, str]:
    _, key = api_keys.issue(kind="account", account=two, name="a script", now=NOON)
    return {"Authorization": f"Bearer {key}"}


def send(client: Client, headers: dict[str, str], path: str, method: str = "post", **body: Any) -> Any:
    return getattr(client, method)(f"/api/v1/{path}", body, content_type="application/json", headers=headers)


@pytest.fixture
def two(account: Account) -> Account:
    """Two projects, or two runs."""
    agreed(account, projects=2)
    return account


def test_a_service_makes_room_lets_go_and_sets_the_count(
    client: Client, service: dict[str, str], two: Account
) -> None:
    me = {"account": str(two.pk)}
    first = send(client, service, "gauges/projects/claim", key="project:1", **me)
    assert first.status_code == 200
    assert first["Cache-Control"] == "no-store"
    assert first.json() == {
        "account": str(two.pk),
        "feature": "projects",
        "name": "Projects",
        "used": 1,
        "limit": 2,
        "remaining": 1,
        "is_over": False,
        "over_since": None,
    }
    send(client, service, "gauges/projects/claim", key="project:1", **me)
    send(client, service, "gauges/projects/claim", key="project:2", **me)

    refused = assert_problem(
        send(client, service, "gauges/projects/claim", key="project:3", **me), 402, "limit_reached"
    )

    assert (refused["reason"], refused["used"], refused["limit"]) == ("limit_reached", 2, 2)
    assert refused["upgrade_url"].endswith("/pricing/")
    assert send(client, service, "gauges/projects/release", key="project:1", **me).json()["used"] == 1
    assert send(client, service, "gauges/projects/release", key="project:1", **me).json()["used"] == 1
    assert_problem(send(client, service, "gauges/projects/release", units=2, **me), 409, "not_held")
    over = send(client, service, "gauges/projects", "put", value=9, **me).json()
    assert (over["used"], over["is_over"]) == (9, True)
    assert over["over_since"] is not None
    refused = assert_problem(send(client, service, "gauges/projects/claim", **me), 402, "limit_reached")
    assert refused["reason"] == "over_limit"
    (listed,) = client.get(f"/api/v1/gauges?account={two.pk}", headers=service).json()["gauges"]
    assert listed == client.get(f"/api/v1/gauges/projects?account={two.pk}", headers=service).json()
    assert listed["used"] == 9


def test_a_service_begins_runs_keeps_them_and_ends_them(
    client: Client, service: dict[str, str], two: Account
) -> None:
    me = {"account": str(two.pk)}
    for number in (1, 2):
        begun = send(client, service, "slots/projects/take", key=f"run:{number}", **me)
        assert begun.status_code == 200
    assert_problem(send(client, service, "slots/projects/take", key="run:3", **me), 402, "limit_reached")
    kept = send(client, service, "slots/projects/heartbeat", key="run:1", ttl_seconds=600, **me).json()
    assert kept["expires_at"] > begun.json()["expires_at"]

    ended = [send(client, service, "slots/projects/release", key="run:2", **me).json() for _ in range(2)]

    assert [answer["was_held"] for answer in ended] == [True, False]
    assert_problem(send(client, service, "slots/projects/heartbeat", key="run:2", **me), 409, "slot_lost")
    listed = client.get(f"/api/v1/slots/projects?account={two.pk}", headers=service).json()
    assert [slot["key"] for slot in listed["slots"]] == ["run:1"]
    assert (listed["used"], listed["limit"], listed["remaining"]) == (1, 2, 1)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("gauges/projects/claim", {"units": 0}, 400, "invalid_units"),
        ("gauges/projects/claim", {"units": 1.5}, 400, "invalid_units"),
        ("gauges/projects/claim", {"units": 10**30}, 400, "invalid_units"),
        ("gauges/projects/claim", {"key": ""}, 400, "invalid_request"),
        ("gauges/projects/claim", {"key": "a\0b"}, 400, "invalid_idempotency_key"),
        ("gauges/projects/claim", {"limit": 7}, 400, "invalid_request"),
        ("gauges/generations/claim", {}, 404, "not_found"),
        ("gauges/nothing%00/claim", {}, 404, "not_found"),
        ("slots/projects/take", {}, 400, "invalid_request"),
        ("slots/projects/take", {"key": "run", "ttl_seconds": 0}, 400, "invalid_request"),
        ("slots/nothing%00/heartbeat", {"key": "run"}, 404, "not_found"),
        ("slots/nothing/release", {"key": "run"}, 404, "not_found"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    client: Client, own_key: dict[str, str], path: str, body: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(send(client, own_key, path, **body), status, code)

    assert client.get("/api/v1/gauges/projects", headers=own_key).json()["used"] == 0


def test_nobody_elses_things_are_seen_or_moved(
    client: Client, own_key: dict[str, str], charlie: User
) -> None:
    other = opened(charlie)
    agreed(other, projects=3)

    for path, method, body in (
        ("gauges/projects/claim", "post", {}),
        ("gauges/projects", "put", {"value": 3}),
        ("slots/projects/take", "post", {"key": "run:1"}),
    ):
        answer = send(client, own_key, path, method, account=str(other.pk), **body)
        assert_problem(answer, 404, "not_found")
    assert_problem(client.get(f"/api/v1/gauges?account={other.pk}", headers=own_key), 404, "not_found")
    assert_problem(client.get("/api/v1/gauges"), 401, "unauthorized")


def test_a_guest_looks_and_adds_nothing(two: Account, as_bob: Client, bob: User) -> None:
    Member.objects.filter(account=two, user=bob).update(role=Member.Role.GUEST)
    browser = acting_for(two, as_bob)

    assert browser.get("/api/v1/gauges/projects").status_code == 200
    answer = send(browser, {}, "gauges/projects/claim")

    assert assert_problem(answer, 403, "feature_not_included")["reason"] == "role"
