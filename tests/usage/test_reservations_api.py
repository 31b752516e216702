"""Reservations and estimates as another service meets them."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.models import Account, Member, User
from tests.usage.conftest import NOON, opened, subscribe
from tests.usage.test_api import assert_problem, use, yesterday
from tests.usage.test_pages import acting_for
from tests.usage.test_standing_api import send
from usage import metering

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own_key(account: Account) -> dict[str, str]:
    """A hundred generations a month."""
    subscribe(account, "hundred", anchor=yesterday())
    _, key = api_keys.issue(kind="account", account=account, name="a script", now=NOON)
    return {"Authorization": f"Bearer {key}"}


def hold(client: Client, headers: dict[str, str], **body: Any) -> Any:
    given = {"feature": "generations", "units": 60, "idempotency_key": "chat-7", **body}
    return send(client, headers, "reservations", **given)


def test_units_are_held_then_settled_for_what_the_work_took(
    client: Client, own_key: dict[str, str], account: Account
) -> None:
    held = hold(client, own_key)
    assert held.status_code == 200
    reservation = held.json()
    assert (reservation["state"], reservation["units"], reservation["replayed"]) == ("held", 60, False)
    assert hold(client, own_key).json() == {**reservation, "replayed": True}
    refused = assert_problem(use(client, own_key, units=41), 402, "allowance_exhausted")
    assert refused["remaining"] == 40

    settled = send(client, own_key, f"reservations/{reservation['id']}/settle", units=25)

    assert settled.status_code == 200
    assert (settled["X-Quota-Limit"], settled["X-Quota-Remaining"]) == ("100", "75")
    receipt = settled.json()
    assert (receipt["units"], receipt["used"], receipt["remaining"]) == (25, 25, 75)
    assert receipt["sources"] == [{"kind": "allowance", "units": 25, "amount": None}]
    assert (receipt["cost"], receipt["currency"], receipt["replayed"]) == (0, "usd", False)
    again = send(client, own_key, f"reservations/{reservation['id']}/settle", units=25).json()
    assert again == {**receipt, "replayed": True}
    shown = client.get(f"/api/v1/reservations/{reservation['id']}", headers=own_key).json()
    assert (shown["state"], shown["settled_units"], shown["record"]) == ("settled", 25, receipt["id"])
    other = send(client, own_key, f"reservations/{reservation['id']}/settle", units=26)
    assert_problem(other, 409, "idempotency_conflict")
    late = send(client, own_key, f"reservations/{reservation['id']}/release")
    assert_problem(late, 409, "reservation_over")


def test_work_that_failed_gives_everything_back(client: Client, own_key: dict[str, str]) -> None:
    number = hold(client, own_key).json()["id"]

    released = [send(client, own_key, f"reservations/{number}/release").json()["state"] for _ in range(2)]

    assert released == ["released", "released"]
    assert use(client, own_key, units=100).json()["remaining"] == 0


def test_more_than_was_held_is_drawn_or_refused_as_asked(client: Client, own_key: dict[str, str]) -> None:
    number = hold(client, own_key).json()["id"]
    path = f"reservations/{number}/settle"

    assert_problem(send(client, own_key, path, units=61, beyond="refuse"), 409, "more_than_held")
    assert_problem(send(client, own_key, path, units=101), 402, "allowance_exhausted")

    assert send(client, own_key, path, units=100).json()["remaining"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"units": 0}, 400, "invalid_units"),
        ({"units": "60"}, 400, "invalid_units"),
        ({"idempotency_key": None}, 400, "invalid_idempotency_key"),
        ({"idempotency_key": "a\0b"}, 400, "invalid_idempotency_key"),
        ({"holds_for_seconds": 0}, 400, "invalid_request"),
        ({"holds_for_seconds": 86_401}, 400, "invalid_request"),
        ({"limit": 1}, 400, "invalid_request"),
        ({"feature": "projects"}, 404, "not_found"),
        ({"feature": "documents"}, 403, "feature_not_included"),
        ({"units": 101}, 402, "allowance_exhausted"),
    ],
)
def test_what_cannot_be_held_is_refused_and_nothing_is_held(
    client: Client, own_key: dict[str, str], account: Account, body: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(hold(client, own_key, **body), status, code)

    assert metering.balance(account, "generations", now=timezone.now()).remaining == 100


def test_nobody_elses_reservation_is_seen_or_moved(
    client: Client, own_key: dict[str, str], charlie: User
) -> None:
    other = opened(charlie)
    theirs = metering.reserve(
        account=other, feature="generations", units=5, idempotency_key="job", now=timezone.now()
    )

    for number in (theirs.id, 0, -1, 10**30):
        assert_problem(client.get(f"/api/v1/reservations/{number}", headers=own_key), 404, "not_found")
        for act, body in (("settle", {"units": 1}), ("release", {})):
            answer = send(client, own_key, f"reservations/{number}/{act}", **body)
            assert_problem(answer, 404, "not_found")

    assert metering.find(account=other, reservation_id=theirs.id, now=timezone.now()).state == "held"


def test_a_guest_looks_and_settles_nothing(account: Account, as_bob: Client, bob: User) -> None:
    theirs = metering.reserve(
        account=account, feature="generations", units=5, idempotency_key="job", now=timezone.now()
    )
    Member.objects.filter(account=account, user=bob).update(role=Member.Role.GUEST)
    browser = acting_for(account, as_bob)

    assert browser.get(f"/api/v1/reservations/{theirs.id}").json()["state"] == "held"
    for act, body in (("settle", {"units": 1}), ("release", {})):
        refused = assert_problem(
            send(browser, {}, f"reservations/{theirs.id}/{act}", **body), 403, "feature_not_included"
        )
        assert refused["reason"] == "role"
    assert_problem(hold(browser, {}, units=1), 403, "feature_not_included")


def test_an_estimate_is_a_range(client: Client, own_key: dict[str, str]) -> None:
    for units in (1, 2, 3, 4, 30):
        use(client, own_key, units=units)

    answer = client.get("/api/v1/usage/estimate?feature=generations", headers=own_key)

    assert answer.status_code == 200
    found = answer.json()
    assert (found["low"], found["typical"], found["high"], found["sample"]) == (1, 3, 30, 5)
    nothing = client.get("/api/v1/usage/estimate?feature=queries", headers=own_key).json()
    assert (nothing["low"], nothing["sample"]) == (None, 0)
    unknown = client.get("/api/v1/usage/estimate?feature=no%00such", headers=own_key)
    assert_problem(unknown, 404, "not_found")
